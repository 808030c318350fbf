"""Whole models: a network, a diffusion method and a sampler joined; and edits made with them."""

from .diffusion_model import DiffusionModel as DiffusionModel
from .editing import continue_audio as continue_audio
from .editing import generate_long as generate_long
from .editing import inpaint as inpaint
from .editing import vary as vary

__all__ = ["DiffusionModel", "continue_audio", "generate_long", "inpaint", "vary"]
