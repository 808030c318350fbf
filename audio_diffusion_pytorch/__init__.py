"""Composable building blocks for audio diffusion.

Networks, noise schedules, samplers and transforms that fit together behind small protocols; full
training recipes stand in `examples/`. Importing the package loads nothing optional.
"""

from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

from . import components as components
from . import diffusion as diffusion
from . import models as models
from . import utils as utils
from .autoencoders import MDCT as MDCT
from .autoencoders import STFT as STFT
from .autoencoders import Companded as Companded
from .autoencoders import LatentNormalizer as LatentNormalizer
from .conditioning import MelSpectrogram as MelSpectrogram
from .diffusion import ADPM2Sampler as ADPM2Sampler
from .diffusion import AEulerSampler as AEulerSampler
from .diffusion import Diffusion as Diffusion
from .diffusion import Distribution as Distribution
from .diffusion import KarrasSampler as KarrasSampler
from .diffusion import KarrasSchedule as KarrasSchedule
from .diffusion import KDiffusion as KDiffusion
from .diffusion import LinearSchedule as LinearSchedule
from .diffusion import LogNormalDistribution as LogNormalDistribution
from .diffusion import Sampler as Sampler
from .diffusion import Schedule as Schedule
from .diffusion import UniformDistribution as UniformDistribution
from .diffusion import VDiffusion as VDiffusion
from .diffusion import VInpainter as VInpainter
from .diffusion import VKDiffusion as VKDiffusion
from .diffusion import VKDistribution as VKDistribution
from .diffusion import VSampler as VSampler
from .models import AdapterBase as AdapterBase
from .models import DiffusionAE as DiffusionAE
from .models import DiffusionAR as DiffusionAR
from .models import DiffusionModel as DiffusionModel
from .models import DiffusionUpsampler as DiffusionUpsampler
from .models import DiffusionVocoder as DiffusionVocoder
from .models import EncoderBase as EncoderBase
from .nets import LTPlugin as LTPlugin
from .nets import UNetV0 as UNetV0
from .nn import NumberEmbedder as NumberEmbedder

if TYPE_CHECKING:
    from .nets import XUNet as XUNet

try:
    __version__ = version("audio-diffusion-pytorch")
except PackageNotFoundError:  # run from a source tree that was not installed
    __version__ = "0+unknown"

__all__ = [
    "MDCT",
    "STFT",
    "ADPM2Sampler",
    "AEulerSampler",
    "AdapterBase",
    "Companded",
    "Diffusion",
    "DiffusionAE",
    "DiffusionAR",
    "DiffusionModel",
    "DiffusionUpsampler",
    "DiffusionVocoder",
    "Distribution",
    "EncoderBase",
    "KDiffusion",
    "KarrasSampler",
    "KarrasSchedule",
    "LTPlugin",
    "LatentNormalizer",
    "LinearSchedule",
    "LogNormalDistribution",
    "MelSpectrogram",
    "NumberEmbedder",
    "Sampler",
    "Schedule",
    "UNetV0",
    "UniformDistribution",
    "VDiffusion",
    "VInpainter",
    "VKDiffusion",
    "VKDistribution",
    "VSampler",
    "XUNet",
    "components",
    "diffusion",
    "models",
    "utils",
]

if not TYPE_CHECKING:  # a type checker would take any name for one of ours

    def __getattr__(name: str) -> object:
        """Import a-unet only for who asks for its `XUNet`."""
        if name != "XUNet":
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from .nets import XUNet

        return XUNet
