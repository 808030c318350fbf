"""Small helpers on shapes."""

from __future__ import annotations

from torch import Tensor


def lift(values: Tensor, like: Tensor) -> Tensor:
    """Append axes of size one to `values (b,)` so that it broadcasts over `like (b, c, *t)`.

    Values that already have the dimensions of `like` (one per position) come back unchanged.
    """
    return values.reshape(*values.shape, *(1,) * (like.ndim - values.ndim))
