"""Any length through a network that halves and doubles it."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor


def pad_to(x: Tensor, sizes: Sequence[int]) -> Tensor:
    """Append zeros so that the last axes of `x` have these sizes; `x` itself where they do.

    Shapes: `(..., *t) -> (..., *sizes)`, for `sizes` not smaller than `t`.
    """
    missing = [size - have for size, have in zip(sizes, x.shape[-len(sizes) :], strict=True)]
    if not any(missing):
        return x
    return F.pad(x, [end for amount in reversed(missing) for end in (0, amount)])


def crop_to(x: Tensor, sizes: Sequence[int]) -> Tensor:
    """Keep the first `sizes` entries of the last axes: the inverse of `pad_to`.

    Shapes: `(..., *t) -> (..., *sizes)`, for `sizes` not larger than `t`.
    """
    for axis, size in zip(range(-len(sizes), 0), sizes, strict=True):
        if x.shape[axis] != size:
            x = x.narrow(axis, 0, size)
    return x
