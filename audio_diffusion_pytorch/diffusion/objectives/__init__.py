"""The training half of diffusion: noise a clean batch, ask the network, measure how far off."""

from .flow import FlowDiffusion as FlowDiffusion
from .gaussian import Diffusion as Diffusion
from .gaussian import GaussianDiffusion as GaussianDiffusion
from .gaussian import LossFunction as LossFunction
from .gaussian import Reduction as Reduction
from .item_loss import per_item_mse as per_item_mse
from .sigma import KDiffusion as KDiffusion
from .sigma import VKDiffusion as VKDiffusion
from .velocity import VDiffusion as VDiffusion

__all__ = [
    "Diffusion",
    "FlowDiffusion",
    "GaussianDiffusion",
    "KDiffusion",
    "LossFunction",
    "Reduction",
    "VDiffusion",
    "VKDiffusion",
    "per_item_mse",
]
