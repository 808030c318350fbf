"""Spaces to work in: exact transforms and the scaling that diffusion needs."""

from .latents import LatentNormalizer as LatentNormalizer
from .transforms import MDCT as MDCT

__all__ = ["MDCT", "LatentNormalizer"]
