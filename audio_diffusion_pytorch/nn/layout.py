"""Which axis lies innermost in memory: channels or positions. Values do not depend on it.

Convolutions over long signals with few channels run several times faster on a CPU when the
channels of a position lie side by side ("channels last"): with 32 channels and 65536 positions
0.8 ms against 1.3 (and 12 where memory is fresh), with 8 channels and 262144 positions 0.5 against
1.5. Short signals with many channels do not gain: there the weights, which would have to be
rearranged at each call, are larger than the signal. So `UNetV0` walks its long levels channels last
and its short ones channels first. A tensor keeps its shape `(b, c, *t)`; only its strides tell.
"""

from __future__ import annotations

from math import prod

import torch
from torch import Tensor

POSITIONS_PER_CHANNEL = 16
"""Where float32 training is as fast either way; measured with 64 to 512 channels."""


def is_channels_last(x: Tensor) -> bool:
    """Whether the channels of `x (b, c, *t)` are innermost, without gaps inside an item."""
    if x.ndim < 3 or x.shape[1] == 1:
        return False
    item = x[0]
    return not item.is_contiguous() and item.movedim(0, -1).is_contiguous()


def to_channels_last(x: Tensor) -> Tensor:
    """Return `x (b, c, *t)` with its channels innermost: itself if they are, or a copy."""
    return x.movedim(1, -1).contiguous().movedim(-1, 1)


def as_laid_out(x: Tensor, like: Tensor) -> Tensor:
    """Return `x` with the channels where `like` has them."""
    return to_channels_last(x) if is_channels_last(like) else x.contiguous()


def prefers_channels_last(x: Tensor, channels: int, positions: int) -> bool:
    """Whether blocks of so many channels run faster with the channels innermost.

    `positions` are those of all items of the batch together; `x` tells the device.

    Only on a CPU: elsewhere torch's group normalisation would copy the signal back, and a compiler
    chooses for itself.
    """
    return x.device.type == "cpu" and positions >= POSITIONS_PER_CHANNEL * channels


def add_into(fresh: Tensor, other: Tensor) -> Tensor:
    """Return the sum, in place of `fresh`, which nobody else holds, where no gradient is kept.

    Under autocast the two may differ in format; then the sum is of the wider one.
    """
    if torch.is_grad_enabled() or fresh.dtype != other.dtype:
        return fresh + other
    return fresh.add_(other)


def rows_of_channels(x: Tensor, *vectors: Tensor) -> tuple[Tensor, ...]:
    """View a channels-last `x (b, c, *t)` as few long rows, and repeat `vectors (b, c)` to match.

    Elementwise operations with a value per channel run along the innermost axis, which is short
    where channels are few: 8 at a time are ten times slower than 512. Returns `x (b, n, r * c)`
    and the vectors `(b, 1, r * c)`.
    """
    batch, channels = x.shape[:2]
    positions = prod(x.shape[2:])
    repeats = 1
    while repeats * channels < 512 and positions % (2 * repeats) == 0:
        repeats *= 2
    rows = x.movedim(1, -1).reshape(batch, positions // repeats, repeats * channels)
    return rows, *(vector.repeat(1, repeats)[:, None] for vector in vectors)


def from_rows(rows: Tensor, like: Tensor) -> Tensor:
    """Undo `rows_of_channels`: return the view of the shape of `like (b, c, *t)`."""
    batch, channels = like.shape[:2]
    return rows.reshape(batch, *like.shape[2:], channels).movedim(-1, 1)


def over_channels(vector: Tensor, like: Tensor) -> Tensor:
    """Return `vector (b, c)` with axes of length 1, so that it meets `like (b, c, *t)`."""
    return vector.reshape(*vector.shape, *(1,) * (like.ndim - 2))
