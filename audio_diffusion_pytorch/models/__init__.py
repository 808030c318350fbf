"""Whole models: a network, a diffusion method and a sampler joined; and edits made with them."""

from typing import TYPE_CHECKING

from . import _upstream_names
from .archisound import load_archisound as load_archisound
from .diffusion_ae import DiffusionAE as DiffusionAE
from .diffusion_ar import DiffusionAR as DiffusionAR
from .diffusion_model import DiffusionModel as DiffusionModel
from .editing import continue_audio as continue_audio
from .editing import generate_long as generate_long
from .editing import inpaint as inpaint
from .editing import vary as vary
from .encoder_base import AdapterBase as AdapterBase
from .encoder_base import EncoderBase as EncoderBase
from .upsampler import DiffusionUpsampler as DiffusionUpsampler
from .vocoder import DiffusionVocoder as DiffusionVocoder

__all__ = [
    "AdapterBase",
    "DiffusionAE",
    "DiffusionAR",
    "DiffusionModel",
    "DiffusionUpsampler",
    "DiffusionVocoder",
    "EncoderBase",
    "continue_audio",
    "generate_long",
    "inpaint",
    "load_archisound",
    "vary",
]
__all__ += _upstream_names.__all__

if not TYPE_CHECKING:  # a type checker would take any name for one of ours

    def __getattr__(name: str) -> object:
        """Return what upstream's module held beside its models."""
        if name in _upstream_names.__all__:
            return getattr(_upstream_names, name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
