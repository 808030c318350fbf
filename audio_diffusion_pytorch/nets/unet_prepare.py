"""What a U-Net is conditioned on, made ready once for all calls of one sampling.

Text is encoded, the tokens' keys and values and the projections of context channels are computed,
and what guidance stacks is stacked. Only signal and time are left to each call.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from audio_diffusion_pytorch.nn import pad_to

from .unet_inputs import check_contexts
from .unet_level import ItemReady, LevelReady, UNetLevel
from .unet_text import TokenInputs, TokenParts, resolve_tokens


class Prepared(NamedTuple):
    """Conditions of a network, ready for signals of the same batch.

    Attributes:
        scale: Of the guidance by one call of twice the batch; None for a call without.
        batch: Items of the signal.
        levels: What each item of each level needs.
        shapes: Of the context of each level, as given; None where there is none.
    """

    scale: float | None
    batch: int
    levels: tuple[LevelReady, ...]
    shapes: tuple[tuple[int, ...] | None, ...]


class PreparedParts(TokenParts, Protocol):
    """The parts of `UNetV0` that conditions pass through."""

    levels: Sequence[UNetLevel]
    context_channels: tuple[int, ...]

    def parameters(self) -> Any:
        """Return the weights, whose device and dtype the signals have."""


def prepare(net: PreparedParts, cond: Mapping[str, Any]) -> dict[str, Any]:
    """Return conditions for `net` with all that depends on neither signal nor time computed.

    Raises:
        ValueError: As a call with them.
    """
    tokens = {name: cond[name] for name in TokenInputs._fields if name in cond}
    channels = cond.get("channels")
    batch = _batch(cond)
    anything = tokens or channels or net.needs_embedding
    if net.training or "prepared" in cond or batch is None or not anything:
        return dict(cond)
    weight = next(iter(net.parameters()))
    like = torch.empty(batch, 0, dtype=weight.dtype, device=weight.device)
    guided = resolve_tokens(net, TokenInputs(**tokens), like)
    contexts = [*(channels or []), *[None] * len(net.levels)][: len(net.levels)]
    wanted = [
        context if width > 0 else None
        for context, width in zip(contexts, net.context_channels, strict=True)
    ]
    ready = tuple(
        level.prepare(guided.embedding, guided.mask, context)
        for level, context in zip(net.levels, wanted, strict=True)
    )
    shapes = tuple(None if context is None else tuple(context.shape) for context in wanted)
    rest = {name: cond[name] for name in cond if name not in tokens and name != "channels"}
    return {**rest, "prepared": Prepared(guided.scale, batch, ready, shapes)}


def _batch(cond: Mapping[str, Any]) -> int | None:
    """Return the number of items the conditions are for; None where they do not tell."""
    for name in ("embedding", "text", "labels", "features", "channels"):
        value = cond.get(name)
        if isinstance(value, list | tuple) and name == "channels":
            value = next((part for part in value if part is not None), None)
        if isinstance(value, Tensor | list | tuple):
            return len(value)
    return None


def fitted(
    prepared: Prepared, net: PreparedParts, batch: int, sizes: Sequence[int], padded: Sequence[int]
) -> tuple[LevelReady, ...]:
    """Return what is ready, padded to the lengths the network works on.

    Raises:
        ValueError: If it is for another batch or other lengths.
    """
    if prepared.batch != batch:
        raise ValueError(
            f"the prepared conditions are for a batch of {prepared.batch}, got a signal of "
            f"{batch}: prepare them for each batch"
        )
    factors = [level.factor for level in net.levels]
    lengths = check_contexts(prepared.shapes, net.context_channels, factors, batch, sizes, padded)
    return tuple(
        level if length is None else tuple(_padded(item, length) for item in level)
        for level, length in zip(prepared.levels, lengths, strict=True)
    )


def check_prepared_alone(given: TokenInputs, channels: object) -> None:
    """Refuse conditions beside prepared ones, which hold them already.

    Raises:
        ValueError: If there are any.
    """
    numbers = given.embedding_scale != 1.0 or given.embedding_mask_proba != 0.0
    words = (given.text, given.negative_text, channels)
    tokens = (given.embedding, given.embedding_mask, given.negative_embedding)
    if numbers or any(part is not None for part in (*words, *tokens)):
        raise ValueError(
            "prepared holds tokens, texts and channels already, got some beside it: pass them to "
            "prepare"
        )


def _padded(item: ItemReady, lengths: Sequence[int]) -> ItemReady:
    if item.projected is None:
        return item
    return item._replace(projected=pad_to(item.projected, lengths))
