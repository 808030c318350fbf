"""One level of the U-Net: what happens between two lengths."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, cast

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
    the level.
    """

    features: Tensor | None
    embedding: Tensor | None
    embedding_mask: Tensor | None
    context: Tensor | None


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
        x = self.resnet(x)
        if self.modulation is not None:
            x = self.modulation(x, cond.features)
        if self.inject is not None:
            x = self.inject(x, cond.context)
        for attention in self.attentions:
            x = attention(x)
        for attention in self.cross_attentions:
            x = attention(x, cond.embedding, cond.embedding_mask)
        return x


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

    def gate_skip(self, out_channels: int, num_features: int) -> None:
        """Let the features decide how much of the skip passes, and start by answering zero."""
        self.merge = MergeGated(out_channels, num_features)
        nn.init.zeros_(self.up.conv.weight)
        if self.up.conv.bias is not None:
            nn.init.zeros_(self.up.conv.bias)

    def descend(self, x: Tensor, cond: Conditions) -> Tensor:
        """Shorten, then run the items of the way down, in the layout that is faster there."""
        positions = x.numel() // x.shape[1] // self.factor ** (x.ndim - 2)
        if prefers_channels_last(x, self.channels, positions):
            return self._run(self.items_down, self.down(to_channels_last(x)), cond)
        return self._run(self.items_down, self.down(x).contiguous(), cond)

    def ascend(self, x: Tensor, skip: Tensor, cond: Conditions) -> Tensor:
        """Run the items of the way up, lengthen, and merge with the skip connection."""
        x = self._run(self.items_up, x, cond)
        x = self.up(to_channels_last(x) if is_channels_last(skip) else x)
        x, skip = as_laid_out(x, like=skip), self.adapter(skip)
        features = () if isinstance(self.merge, MergeCat) else (cond.features,)
        out: Tensor = self.merge(skip, x, *features)
        return out

    def _run(self, items: Sequence[UNetItem], x: Tensor, cond: Conditions) -> Tensor:
        for item in items:
            if self.gradient_checkpointing and x.requires_grad:
                # No item draws random numbers, so no generator state has to be kept.
                x = checkpoint(item, x, cond, use_reentrant=False, preserve_rng_state=False)
            else:
                x = item(x, cond)
        return x


def _items(level: LevelShape, shared: ItemShape) -> Sequence[UNetItem]:
    items = nn.ModuleList(UNetItem(level, shared) for _ in range(level.items))
    return cast("Sequence[UNetItem]", items)  # for the type checker
