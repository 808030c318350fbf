"""Spaces to work in: exact transforms and the scaling that diffusion needs."""

from .companding import Companded as Companded
from .latents import LatentNormalizer as LatentNormalizer
from .stft import STFT as STFT
from .transforms import MDCT as MDCT

__all__ = ["MDCT", "STFT", "Companded", "LatentNormalizer"]
