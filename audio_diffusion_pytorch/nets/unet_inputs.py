"""What a call of `UNetV0` refuses, and how it says so.

The messages are only built where they are raised: a call costs little, and compiled graphs stay
free of them.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from audio_diffusion_pytorch.nn import pad_to


def check_input(x: Tensor, dim: int, in_channels: int) -> None:
    """Refuse an input that is not `(b, in_channels, *t)` with `dim` axes of at least length 1."""
    if x.ndim != 2 + dim or x.shape[1] != in_channels or 0 in x.shape:
        axes = ", ".join(["b", str(in_channels), "t", "u", "v"][: 2 + dim])
        raise ValueError(
            f"the input must have shape ({axes}) and not be empty, got {tuple(x.shape)}: build the "
            "network with other in_channels or dim, or reshape the input"
        )


def check_features(features: Tensor, wanted: int | None, batch: int) -> None:
    """Refuse features that are not `(b, wanted)`; `wanted` is None without modulation."""
    if wanted is None:
        raise ValueError("features need use_modulation=True, got False: leave them")
    if features.ndim != 2 or features.shape[0] not in (1, batch) or features.shape[1] != wanted:
        raise ValueError(
            f"features must have shape ({batch}, modulation_features={wanted}), got "
            f"{tuple(features.shape)}: project them to that size"
        )


def check_time(time: Tensor | None, batch: int) -> Tensor:
    """Return the time, refusing all but `(b,)` and `(b, n)`; one item stands for the batch."""
    if time is None:
        raise ValueError(
            f"time is missing: pass times of shape ({batch},), or build the network with "
            "use_time_conditioning=False"
        )
    if time.ndim not in (1, 2) or time.shape[0] not in (1, batch):
        raise ValueError(
            f"time must have shape ({batch},) or ({batch}, n), got {tuple(time.shape)}: pass one "
            "time an item (a time for each position is not available yet)"
        )
    return time


def check_embedding(
    embedding: Tensor | None, mask: Tensor | None, batch: int, features: int | None, of_use: bool
) -> None:
    """Refuse tokens and masks that do not fit `(b, n, features)` and `(b, n)`."""
    if embedding is None:
        if mask is not None:
            raise ValueError("embedding_mask needs an embedding, got None: pass both or none")
        return
    if not of_use:
        raise ValueError(
            "embedding needs a network with cross_attentions, got none: leave it or build the "
            "network with them"
        )
    if embedding.ndim != 3 or embedding.shape[0] != batch or embedding.shape[2] != features:
        raise ValueError(
            f"embedding must have shape ({batch}, n, {features}), got {tuple(embedding.shape)}: "
            "project it to embedding_features"
        )
    if mask is not None and (mask.dtype != torch.bool or mask.shape != embedding.shape[:2]):
        raise ValueError(
            f"embedding_mask must be bool of shape {tuple(embedding.shape[:2])}, got {mask.dtype} "
            f"of {tuple(mask.shape)}: True stands for a real token"
        )


def check_contexts(
    shapes: Sequence[Sequence[int] | None],
    widths: Sequence[int],
    factors: Sequence[int],
    batch: int,
    sizes: Sequence[int],
    padded: Sequence[int],
) -> list[list[int] | None]:
    """Return the lengths each level works on; None where it takes no context.

    `sizes` are the lengths of the input, `padded` those the network works on. At a level that is
    shorter by `f` a context `(b, widths[i], *t_i)` may have any length from `size / f`, rounded
    up, to `padded / f`.
    """
    lengths: list[list[int] | None] = []
    shorter = 1
    for depth, (width, factor) in enumerate(zip(widths, factors, strict=True)):
        shorter *= factor
        if width == 0:
            lengths.append(None)
            continue
        shape = shapes[depth] if depth < len(shapes) else None
        least = [-(-size // shorter) for size in sizes]
        most = [size // shorter for size in padded]
        if shape is None or not _fits(shape, (batch, width), least, most):
            came = "nothing" if shape is None else f"shape {tuple(shape)}"
            raise ValueError(
                f"channels[{depth}] must have shape {(batch, width, *least)}, got {came}: pass a "
                "list with the context of each level"
            )
        lengths.append(most)
    return lengths


def padded_contexts(
    channels: Sequence[Tensor | None] | None,
    widths: Sequence[int],
    factors: Sequence[int],
    batch: int,
    sizes: Sequence[int],
    padded: Sequence[int],
) -> list[Tensor | None]:
    """Return the context of each level, as long as the level; arguments as in `check_contexts`."""
    given = [*(channels or []), *[None] * len(widths)]
    shapes = [None if context is None else context.shape for context in given]
    lengths = check_contexts(shapes, widths, factors, batch, sizes, padded)
    return [
        None if context is None or most is None else pad_to(context, most)
        for context, most in zip(given, lengths, strict=False)
    ]


def _fits(
    shape: Sequence[int], head: tuple[int, int], least: Sequence[int], most: Sequence[int]
) -> bool:
    if len(shape) != 2 + len(least) or tuple(shape[:2]) != head:
        return False
    lengths = zip(least, shape[2:], most, strict=True)
    return all(low <= length <= high for low, length, high in lengths)
