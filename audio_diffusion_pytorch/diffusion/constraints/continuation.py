"""Continuation: a signal whose beginning is known."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from .repaint import RePaint


class Continuation(RePaint):
    """Keep the first part of a signal and make what follows it.

    `RePaint` with the prefix as the known part; `continue_signal` makes any length this way.

    Args:
        prefix: The beginning `(b or 1, c or 1, *t)`, along the last axis; at least one sample.
        length: Samples of the whole signal, more than the prefix.
        visits: As `RePaint`.
        jump: As `RePaint`.

    Raises:
        ValueError: If there is no prefix, or nothing left to make; as `RePaint`.
    """

    def __init__(self, prefix: Tensor, length: int, visits: int = 10, jump: int = 1) -> None:
        size = prefix.shape[-1]
        if not 0 < size < length:
            raise ValueError(
                f"a continuation to {length} samples needs a prefix of 1 to {length - 1} samples, "
                f"got {size}"
            )
        mask = torch.arange(length, device=prefix.device) < size
        mask = mask.reshape(*(1,) * (prefix.ndim - 1), length)
        super().__init__(F.pad(prefix, (0, length - size)), mask, visits, jump)
