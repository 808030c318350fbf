"""Whole models: a network, a diffusion method and a sampler joined."""

from .diffusion_model import DiffusionModel as DiffusionModel

__all__ = ["DiffusionModel"]
