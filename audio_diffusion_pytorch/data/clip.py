"""What a data set hands to training: one stretch of sound with its labels and its origin."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class Clip(NamedTuple):
    """One stretch of sound; torch's default collation makes a batched `Clip` of a list of them.

    Attributes:
        audio: `(c, t)` float32, nominally -1..1; batched `(b, c, t)`.
        labels: `(k,)` int64 class indices, -1 = unknown, `k = 0` when unlabelled; batched `(b, k)`.
        name: `"sub/file.flac@12345"`: file relative to its folder and first sample at the data
            set's rate; batched: a tuple of names.
    """

    audio: Tensor
    labels: Tensor
    name: str
