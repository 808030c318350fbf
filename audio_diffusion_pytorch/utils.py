"""Upstream's helpers, under upstream's module path: the same numbers, for code that imports them.

Of the package itself nothing is here: `resample`, `upsample` and `downsample` are those of `ops`,
the others stand in `ops.upstream_helpers`. The names of `typing`, `math` and torch are here since
upstream's module held them too.
"""

from __future__ import annotations

from functools import reduce
from inspect import isfunction
from math import ceil, floor, log2, pi
from typing import (  # noqa: UP035  these very names are taken from here
    Callable,
    Dict,
    List,
    Optional,
    Sequence,
    Tuple,
    TypeGuard,
    TypeVar,
    Union,
)

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Generator, Tensor

from audio_diffusion_pytorch.ops.resample import downsample, resample, upsample
from audio_diffusion_pytorch.ops.upstream_helpers import (
    T,
    closest_power_2,
    default,
    exists,
    group_dict_by_prefix,
    groupby,
    iff,
    is_sequence,
    prefix_dict,
    prod,
    randn_like,
    to_list,
)

__all__ = [
    "Callable",
    "Dict",
    "F",
    "Generator",
    "List",
    "Optional",
    "Sequence",
    "T",
    "Tensor",
    "Tuple",
    "TypeGuard",
    "TypeVar",
    "Union",
    "ceil",
    "closest_power_2",
    "default",
    "downsample",
    "exists",
    "floor",
    "group_dict_by_prefix",
    "groupby",
    "iff",
    "is_sequence",
    "isfunction",
    "log2",
    "pi",
    "prefix_dict",
    "prod",
    "randn_like",
    "rearrange",
    "reduce",
    "resample",
    "to_list",
    "torch",
    "upsample",
]
