"""Whole models: a network, a diffusion method and a sampler joined; and edits made with them."""

from .diffusion_ae import DiffusionAE as DiffusionAE
from .diffusion_ar import DiffusionAR as DiffusionAR
from .diffusion_model import DiffusionModel as DiffusionModel
from .editing import continue_audio as continue_audio
from .editing import generate_long as generate_long
from .editing import inpaint as inpaint
from .editing import vary as vary
from .encoder_base import AdapterBase as AdapterBase
from .encoder_base import EncoderBase as EncoderBase

__all__ = [
    "AdapterBase",
    "DiffusionAE",
    "DiffusionAR",
    "DiffusionModel",
    "EncoderBase",
    "continue_audio",
    "generate_long",
    "inpaint",
    "vary",
]
