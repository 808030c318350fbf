"""Small helpers on shapes, and what a mask must be."""

from __future__ import annotations

import torch
from torch import Tensor


def lift(values: Tensor, like: Tensor) -> Tensor:
    """Append axes of size one to `values (b,)` so that it broadcasts over `like (b, c, *t)`.

    Values that already have the dimensions of `like` (one per position) come back unchanged.
    """
    return values.reshape(*values.shape, *(1,) * (like.ndim - values.ndim))


def broadcasts_over(part: Tensor, like: Tensor) -> bool:
    """Return whether `part` has the axes of `like`, each of its size or of size one."""
    sizes = zip(part.shape, like.shape, strict=False)
    return part.ndim == like.ndim and all(size in (1, wanted) for size, wanted in sizes)


def check_mask_values(mask: Tensor, meaning: str) -> None:
    """Refuse values of a mask outside 0..1.

    A mask of bools is not looked at, so it does not make an accelerator wait; nor is one of a
    graph that is being compiled.

    Args:
        mask: Of any shape.
        meaning: What the two ends stand for, such as "0 (padding) .. 1 (real)".

    Raises:
        ValueError: If a value lies outside.
    """
    if mask.dtype == torch.bool or mask.is_meta or torch.compiler.is_compiling():
        return
    if not bool(((mask >= 0) & (mask <= 1)).all()):
        low, high = float(mask.min()), float(mask.max())
        raise ValueError(f"mask values must lie in {meaning}, got {low:.4g}..{high:.4g}")
