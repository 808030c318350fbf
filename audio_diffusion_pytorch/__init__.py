"""Composable building blocks for audio diffusion.

Networks, noise schedules, samplers and transforms that fit together behind small protocols; full
training recipes stand in `examples/`. Importing the package loads nothing optional.
"""

from importlib.metadata import PackageNotFoundError, version

from .autoencoders import MDCT as MDCT
from .autoencoders import Companded as Companded
from .autoencoders import LatentNormalizer as LatentNormalizer
from .diffusion import Diffusion as Diffusion
from .diffusion import Distribution as Distribution
from .diffusion import LinearSchedule as LinearSchedule
from .diffusion import Sampler as Sampler
from .diffusion import Schedule as Schedule
from .diffusion import UniformDistribution as UniformDistribution
from .diffusion import VDiffusion as VDiffusion
from .diffusion import VSampler as VSampler
from .models import DiffusionModel as DiffusionModel
from .nets import UNetV0 as UNetV0

try:
    __version__ = version("audio-diffusion-pytorch")
except PackageNotFoundError:  # run from a source tree that was not installed
    __version__ = "0+unknown"

__all__ = [
    "MDCT",
    "Companded",
    "Diffusion",
    "DiffusionModel",
    "Distribution",
    "LatentNormalizer",
    "LinearSchedule",
    "Sampler",
    "Schedule",
    "UNetV0",
    "UniformDistribution",
    "VDiffusion",
    "VSampler",
]
