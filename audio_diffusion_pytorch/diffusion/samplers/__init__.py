"""Samplers: from noise to signals, by any method, solver and grid, or as earlier releases did."""

from .ancestral import ADPM2Sampler as ADPM2Sampler
from .ancestral import AEulerSampler as AEulerSampler
from .base import Sampler as Sampler
from .diffusion_sampler import DiffusionSampler as DiffusionSampler
from .karras import KarrasSampler as KarrasSampler
from .sigma_sampler import SigmaSampler as SigmaSampler
from .v_sampler import VSampler as VSampler

__all__ = [
    "ADPM2Sampler",
    "AEulerSampler",
    "DiffusionSampler",
    "KarrasSampler",
    "Sampler",
    "SigmaSampler",
    "VSampler",
]
