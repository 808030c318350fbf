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


def padded_contexts(
    channels: Sequence[Tensor | None] | None,
    widths: Sequence[int],
    factors: Sequence[int],
    batch: int,
    sizes: Sequence[int],
    padded: Sequence[int],
) -> list[Tensor | None]:
    """Return the context of each level, `(b, widths[i], *t_i)` or None, as long as the level.

    `sizes` are the lengths of the input, `padded` those the network works on. At a level that is
    shorter by `f` a context may have any length from `size / f`, rounded up, to `padded / f`.
    """
    contexts: list[Tensor | None] = []
    shorter = 1
    for depth, (width, factor) in enumerate(zip(widths, factors, strict=True)):
        shorter *= factor
        if width == 0:
            contexts.append(None)
            continue
        context = channels[depth] if channels is not None and depth < len(channels) else None
        least = [-(-size // shorter) for size in sizes]
        most = [size // shorter for size in padded]
        if context is None or not _fits(context, (batch, width), least, most):
            came = "nothing" if context is None else f"shape {tuple(context.shape)}"
            raise ValueError(
                f"channels[{depth}] must have shape {(batch, width, *least)}, got {came}: pass a "
                "list with the context of each level"
            )
        contexts.append(pad_to(context, most))
    return contexts


def _fits(
    context: Tensor, head: tuple[int, int], least: Sequence[int], most: Sequence[int]
) -> bool:
    if context.ndim != 2 + len(least) or tuple(context.shape[:2]) != head:
        return False
    lengths = zip(least, context.shape[2:], most, strict=True)
    return all(low <= length <= high for low, length, high in lengths)
