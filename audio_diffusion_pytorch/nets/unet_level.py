"""One level of the U-Net: what happens between two lengths."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from audio_diffusion_pytorch.nn import (
    Attention,
    Downsample,
    InjectChannels,
    MergeCat,
    MergeGated,
    MergeModulate,
    Modulation,
    ResnetBlock,
    Upsample,
    conv_nd,
)
from audio_diffusion_pytorch.nn.attention import Memory
from audio_diffusion_pytorch.nn.compiled import compile_shared
from audio_diffusion_pytorch.nn.layout import (
    as_laid_out,
    is_channels_last,
    prefers_channels_last,
    to_channels_last,
)


class LevelShape(NamedTuple):
    """What one level is made of, from the lists that `UNetV0` takes."""

    channels: int
    factor: int
    items: int
    attentions: int
    cross_attentions: int
    context_channels: int


class ItemShape(NamedTuple):
    """What all levels of a network share."""

    dim: int
    groups: int
    modulation_features: int | None  # None: no modulation
    attention_features: int
    attention_heads: int
    embedding_features: int | None


class Conditions(NamedTuple):
    """Everything an item may be conditioned on.

    features `(b, f)`, embedding `(b, n, e)`, embedding_mask `(b, n)`, context `(b, c', *t)` of
    the level; in place of the last three, what is ready of them.
    """

    features: Tensor | None
    embedding: Tensor | None
    embedding_mask: Tensor | None
    context: Tensor | None
    ready: ItemReady | None = None


class ItemReady(NamedTuple):
    """What of an item's conditions is computed before: the same for all signals and times.

    memories: of each cross attention; projected: of the context `(b, channels, *t)`, if any.
    """

    memories: tuple[Memory, ...]
    projected: Tensor | None


LevelReady = tuple[ItemReady, ...]  # of the items on the way down, then of those up


class UNetItem(nn.Module):
    """A residual block, then modulation, context channels and attention, as far as asked for.

    Shapes: `(b, channels, *t) -> the same`.
    """

    def __init__(self, level: LevelShape, shared: ItemShape) -> None:
        super().__init__()
        channels, features = level.channels, shared.modulation_features
        heads = {"head_features": shared.attention_features, "num_heads": shared.attention_heads}
        self.resnet = ResnetBlock(shared.dim, channels, channels, groups=shared.groups)
        self.modulation = None if features is None else Modulation(channels, features)
        self.inject = (
            InjectChannels(shared.dim, channels, level.context_channels)
            if level.context_channels > 0
            else None
        )
        self.attentions = nn.ModuleList(
            Attention(channels, **heads) for _ in range(level.attentions)
        )
        self.cross_attentions = nn.ModuleList(
            Attention(channels, **heads, context_features=shared.embedding_features)
            for _ in range(level.cross_attentions)
        )

    def forward(self, x: Tensor, cond: Conditions) -> Tensor:
        ready = cond.ready
        x = self.resnet(x)
        if self.modulation is not None:
            x = self.modulation(x, cond.features)
        if self.inject is not None:
            x = self.inject(x, cond.context, projected=ready.projected if ready else None)
        for attention in self.attentions:
            x = attention(x)
        for i, attention in enumerate(self.cross_attentions):
            if ready is None:
                x = attention(x, cond.embedding, cond.embedding_mask)
            else:
                x = attention(x, memory=ready.memories[i])
        return x

    def prepare(
        self, embedding: Tensor | None, mask: Tensor | None, context: Tensor | None
    ) -> ItemReady:
        """Return what of these conditions serves all signals and times."""
        memories: tuple[Memory, ...] = ()
        if embedding is not None:
            attentions = cast("Sequence[Attention]", self.cross_attentions)
            memories = tuple(each.remember(embedding, mask) for each in attentions)
        projected = None
        if context is not None and self.inject is not None:
            positions = context.numel() // context.shape[1]
            last = prefers_channels_last(context, self.inject.channels, positions)
            projected = self.inject.project(to_channels_last(context) if last else context)
        return ItemReady(memories, projected)


class UNetLevel(nn.Module):
    """Items on the way down and on the way up, and the skip connection over all between them.

    `descend` maps `(b, in_channels, *t) -> (b, channels, *(t // factor))`; `ascend` maps back to
    `(b, out_channels, *t)` and merges with `skip`, the input of `descend`.
    """

    def __init__(
        self, in_channels: int, out_channels: int, level: LevelShape, shared: ItemShape
    ) -> None:
        super().__init__()
        dim, channels, factor = shared.dim, level.channels, level.factor
        self.channels, self.factor = channels, factor
        self.gradient_checkpointing = False
        self.call_item = _call_item
        self.down = Downsample(dim, in_channels, channels, factor)
        self.items_down = _items(level, shared)
        self.items_up = _items(level, shared)
        self.up = Upsample(dim, channels, out_channels, factor)
        same = in_channels == out_channels
        self.adapter = nn.Identity() if same else conv_nd(dim, in_channels, out_channels, 1)
        self.merge: MergeModulate | MergeGated | MergeCat
        if shared.modulation_features is not None:
            self.merge = MergeModulate(out_channels, shared.modulation_features)
        else:
            self.merge = MergeCat(dim, out_channels)

    @property
    def attends_to_tokens(self) -> bool:
        """Whether anything here depends on `embedding`."""
        return any(item.cross_attentions for item in (*self.items_down, *self.items_up))

    def gate_skip(self, out_channels: int, num_features: int) -> None:
        """Let the features decide how much of the skip passes, and start by answering zero."""
        self.merge = MergeGated(out_channels, num_features)
        nn.init.zeros_(self.up.conv.weight)
        if self.up.conv.bias is not None:
            nn.init.zeros_(self.up.conv.bias)

    def descend(self, x: Tensor, cond: Conditions, ready: LevelReady | None = None) -> Tensor:
        """Shorten, then run the items of the way down, in the layout that is faster there."""
        ready = None if ready is None else ready[: len(self.items_down)]
        positions = x.numel() // x.shape[1] // self.factor ** (x.ndim - 2)
        if prefers_channels_last(x, self.channels, positions):
            return self._run(self.items_down, self.down(to_channels_last(x)), cond, ready)
        return self._run(self.items_down, self.down(x).contiguous(), cond, ready)

    def ascend(
        self, x: Tensor, skip: Tensor, cond: Conditions, ready: LevelReady | None = None
    ) -> Tensor:
        """Run the items of the way up, lengthen, and merge with the skip connection."""
        ready = None if ready is None else ready[len(self.items_down) :]
        x = self._run(self.items_up, x, cond, ready)
        x = self.up(to_channels_last(x) if is_channels_last(skip) else x)
        x, skip = as_laid_out(x, like=skip), self.adapter(skip)
        if len(skip) < len(x):  # guided: further in the batch was doubled
            skip = torch.cat([skip, skip])
        features = () if isinstance(self.merge, MergeCat) else (cond.features,)
        out: Tensor = self.merge(skip, x, *features)
        return out

    def compile_items(self, **options: Any) -> None:
        """Compile the call of an item, which all items of the level share."""
        self.call_item = compile_shared(_call_item, self.up.conv.weight.device, **options)

    def __getstate__(self) -> dict[str, Any]:
        """Return what copies and pickles hold: not the compiled code, which neither can have."""
        state: dict[str, Any] = super().__getstate__()  # type: ignore[no-untyped-call]
        return {**state, "call_item": _call_item}

    def prepare(
        self, embedding: Tensor | None, mask: Tensor | None, context: Tensor | None
    ) -> LevelReady:
        """Return what of these conditions serves all signals and times, for each item."""
        items = (*self.items_down, *self.items_up)
        return tuple(item.prepare(embedding, mask, context) for item in items)

    def _run(
        self, items: Sequence[UNetItem], x: Tensor, cond: Conditions, ready: LevelReady | None
    ) -> Tensor:
        call = self.call_item
        for i, item in enumerate(items):
            if ready is not None:
                cond = cond._replace(ready=ready[i])
            if self.gradient_checkpointing and x.requires_grad:
                # No item draws random numbers, so no generator state has to be kept.
                x = checkpoint(call, item, x, cond, use_reentrant=False, preserve_rng_state=False)
            else:
                x = call(item, x, cond)
        return x


def _call_item(item: UNetItem, x: Tensor, cond: Conditions) -> Tensor:
    out: Tensor = item(x, cond)
    return out


def _items(level: LevelShape, shared: ItemShape) -> Sequence[UNetItem]:
    items = nn.ModuleList(UNetItem(level, shared) for _ in range(level.items))
    return cast("Sequence[UNetItem]", items)  # for the type checker
