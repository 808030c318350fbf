"""Samplers: from noise to signals, by any method, solver and grid, or as earlier releases did."""

from .base import Sampler as Sampler
from .diffusion_sampler import DiffusionSampler as DiffusionSampler
from .v_sampler import VSampler as VSampler

__all__ = [
    "DiffusionSampler",
    "Sampler",
    "VSampler",
]
