"""What upstream's module `diffusion` held beside its classes, for code that takes it from there.

The package answers to these names, also in a star import, but neither documents them nor uses
them: `from audio_diffusion_pytorch.diffusion import *` is how much client code gets its `Tensor`.
"""

from __future__ import annotations

from math import pi
from typing import Any, Optional, Tuple  # noqa: UP035  these very names are taken from here

import torch
import torch.nn.functional as F
from einops import rearrange, repeat
from torch import Tensor, nn
from tqdm import tqdm

from audio_diffusion_pytorch.ops.upstream_helpers import default

from .thresholding import DynamicThreshold, StaticThreshold

__all__ = [
    "Any",
    "F",
    "Optional",
    "Tensor",
    "Tuple",
    "clip",
    "default",
    "extend_dim",
    "nn",
    "pad_dims",
    "pi",
    "rearrange",
    "repeat",
    "torch",
    "tqdm",
]


def pad_dims(x: Tensor, ndim: int) -> Tensor:
    """Return `x` with `ndim` more axes of size one at its end."""
    return x.reshape(*x.shape, *(1,) * ndim)


def extend_dim(x: Tensor, dim: int) -> Tensor:
    """Return `x` with axes of size one at its end, so that it has `dim` of them."""
    return pad_dims(x, dim - x.ndim)


def clip(x: Tensor, dynamic_threshold: float = 0.0) -> Tensor:
    """Return `x` within -1..1: clipped, or by `DynamicThreshold` at this share of its values.

    Args:
        x: `(b, ...)`.
        dynamic_threshold: 0 clips every value at 1; else the share, 0..1, of the values of an item
            that are to stay whole.
    """
    if dynamic_threshold == 0.0:
        return StaticThreshold().bound(x)
    return DynamicThreshold(percentile=dynamic_threshold).bound(x)
