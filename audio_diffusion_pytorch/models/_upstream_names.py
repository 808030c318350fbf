"""What upstream's module `models` held beside its models, for code that takes it from there.

The package answers to these names, also in a star import, but neither documents them nor uses them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from math import floor
from typing import (  # noqa: UP035  these very names are taken from here
    Any,
    Callable,
    Optional,
    Sequence,
    Tuple,
    Union,
)

import torch
from einops import pack, rearrange, unpack
from torch import Generator, Tensor, nn

from audio_diffusion_pytorch.conditioning import MelSpectrogram
from audio_diffusion_pytorch.diffusion import ARVDiffusion, ARVSampler, VDiffusion, VSampler
from audio_diffusion_pytorch.nets import AppendChannelsPlugin
from audio_diffusion_pytorch.ops.resample import downsample, upsample
from audio_diffusion_pytorch.ops.upstream_helpers import (
    closest_power_2,
    default,
    exists,
    groupby,
    randn_like,
)

__all__ = [
    "ABC",
    "ARVDiffusion",
    "ARVSampler",
    "Any",
    "AppendChannelsPlugin",
    "Callable",
    "Generator",
    "MelSpectrogram",
    "Optional",
    "Sequence",
    "Tensor",
    "Tuple",
    "Union",
    "VDiffusion",
    "VSampler",
    "abstractmethod",
    "closest_power_2",
    "default",
    "downsample",
    "exists",
    "floor",
    "groupby",
    "nn",
    "pack",
    "randn_like",
    "rearrange",
    "torch",
    "unpack",
    "upsample",
]
