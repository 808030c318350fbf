"""Spaces to work in: exact transforms and the scaling that diffusion needs."""

from .companding import Companded as Companded
from .latents import LatentNormalizer as LatentNormalizer
from .transforms import MDCT as MDCT

__all__ = ["MDCT", "Companded", "LatentNormalizer"]
