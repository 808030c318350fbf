"""The U-Net of audio-diffusion-pytorch 0.1, natively: same numbers, ordinary modules."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import cast

import torch
from torch import Tensor, nn

from audio_diffusion_pytorch.nn import (
    ClassEmbedding,
    EnergyEmbedding,
    FixedEmbedding,
    TimeEmbedding,
    crop_to,
    pad_to,
)

from .unet_checks import check_attention, check_modulation, check_signal, level_shapes
from .unet_inputs import check_embedding, check_features, check_input, check_time, padded_contexts
from .unet_keys import rename_upstream_keys
from .unet_level import Conditions, ItemShape, LevelShape, UNetLevel


class UNetV0(nn.Module):
    """A U-Net over one, two or three axes, conditioned on time, vectors, tokens and channels.

    Level `i` shortens every axis by `factors[i]` to `channels[i]` channels, runs `items[i]` items
    (residual block, modulation, context channels, attentions, cross attentions), then the deeper
    levels, then as many items again, and lengthens. Source: Schneider et al., "Mousai:
    Text-to-Music Generation with Long-Context Latent Diffusion", 2023, and its code, whose state
    dicts load as they are (strictly) and give the same outputs.

    Args:
        dim: number of axes after batch and channels: 1 audio, 2 images, 3 volumes.
        in_channels: channels of the input.
        channels: channels of each level, multiples of `resnet_groups`.
        factors: how much each level shortens every axis.
        items: number of items of each level, per direction.
        attentions: self attentions per item of each level.
        cross_attentions: attentions to `embedding` per item of each level.
        context_channels: channels of the `channels` tensor of each level; 0 where there is none.
        attention_features: features of one attention head.
        attention_heads: number of attention heads.
        embedding_features: features of one `embedding` token.
        resnet_groups: groups of the group normalisations.
        use_modulation: whether features scale and shift all items.
        modulation_features: number of those features.
        embedding_max_length: most tokens of an embedding, for `use_embedding_cfg`.
        use_time_conditioning: whether `time` is embedded; if not, `time` is ignored.
        use_embedding_cfg: whether to learn a null embedding, for classifier-free guidance.
        use_text_conditioning: not available; pass encoded text as `embedding`.
        out_channels: channels of the output, `in_channels` by default.
        num_classes: classes of each column of `labels`, `n` or `(n, m, ...)`.
        class_dropout: probability, in training mode, that an item's labels become unknown.
        gated_skip: whether the time decides how much of the input passes straight to the output,
            none of it at the start, in place of upstream's identity there. A velocity hardly
            resembles its noisy input, so the identity has to be unlearnt first: with the gate the
            loss starts at that of answering zero. Not loadable from upstream's weights.
        energy_embedding: whether the energies of the input, of each channel and of all, modulate as
            the time does. Normalisations hide them; they tell loudness and spectrum under noise.
        gradient_checkpointing: recompute each item in the backward pass: less memory, more time.

    Raises:
        ValueError: if the arguments do not fit one another.
    """

    def __init__(
        self,
        dim: int,
        in_channels: int,
        channels: Sequence[int],
        factors: Sequence[int],
        items: Sequence[int],
        attentions: Sequence[int] | None = None,
        cross_attentions: Sequence[int] | None = None,
        context_channels: Sequence[int] | None = None,
        attention_features: int | None = None,
        attention_heads: int | None = None,
        embedding_features: int | None = None,
        resnet_groups: int = 8,
        use_modulation: bool = True,
        modulation_features: int = 1024,
        embedding_max_length: int | None = None,
        use_time_conditioning: bool = True,
        use_embedding_cfg: bool = False,
        use_text_conditioning: bool = False,
        out_channels: int | None = None,
        *,
        num_classes: int | Sequence[int] | None = None,
        class_dropout: float = 0.1,
        gated_skip: bool = False,
        energy_embedding: bool = False,
        gradient_checkpointing: bool = False,
    ) -> None:
        super().__init__()
        self.dim, self.in_channels = dim, in_channels
        self.out_channels = in_channels if out_channels is None else out_channels
        check_signal(self.in_channels, self.out_channels, use_text_conditioning)
        check_modulation(
            use_modulation, use_time_conditioning, num_classes, gated_skip, energy_embedding
        )
        levels = level_shapes(
            resnet_groups,
            channels=channels,
            factors=factors,
            items=items,
            attentions=attentions,
            cross_attentions=cross_attentions,
            context_channels=context_channels,
        )
        check_attention(
            levels,
            attention_features,
            attention_heads,
            embedding_features,
            embedding_max_length,
            use_embedding_cfg,
        )
        self.factors = tuple(level.factor for level in levels)
        self.context_channels = tuple(level.context_channels for level in levels)
        self.modulation_features = modulation_features if use_modulation else None
        self.time_embedding = TimeEmbedding(modulation_features) if use_time_conditioning else None
        self.class_embedding = (
            None
            if num_classes is None
            else ClassEmbedding(num_classes, modulation_features, dropout=class_dropout)
        )
        self.energy_embedding = (
            EnergyEmbedding(in_channels, modulation_features) if energy_embedding else None
        )
        tokens, width = embedding_max_length or 0, embedding_features or 0
        self.null_embedding = FixedEmbedding(tokens, width) if use_embedding_cfg else None
        self.embedding_features = embedding_features
        self.needs_embedding = use_embedding_cfg or any(cross_attentions or [])
        shared = ItemShape(
            dim,
            resnet_groups,
            self.modulation_features,
            attention_features or 0,
            attention_heads or 0,
            embedding_features,
        )
        self.levels = _stack(in_channels, self.out_channels, levels, shared)
        if gated_skip:
            self.levels[0].gate_skip(self.out_channels, modulation_features)
        self.set_gradient_checkpointing(gradient_checkpointing)
        self.register_load_state_dict_pre_hook(rename_upstream_keys)  # type: ignore[no-untyped-call]

    def set_gradient_checkpointing(self, enabled: bool) -> None:
        """Recompute the items in the backward pass, or keep their activations."""
        for level in self.levels:
            level.gradient_checkpointing = enabled

    def forward(
        self,
        x: Tensor,
        time: Tensor | None = None,
        *,
        features: Tensor | None = None,
        embedding: Tensor | None = None,
        embedding_mask: Tensor | None = None,
        embedding_scale: float = 1.0,
        embedding_mask_proba: float = 0.0,
        channels: Sequence[Tensor | None] | None = None,
        labels: Tensor | None = None,
        text: Sequence[str] | None = None,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Map `x (b, in_channels, *t)` to `(b, out_channels, *t)`, for any lengths `t`.

        Lengths that are no multiple of the product of all factors are padded with zeros at the
        end, and the result is cropped.

        Args:
            x: input `(b, in_channels, *t)`.
            time: diffusion times `(b,)`, or `(b, n)` whose embeddings are summed.
            features: `(b, modulation_features)`, added to those of the time.
            embedding: tokens `(b, n, embedding_features)` for the cross attentions.
            embedding_mask: `(b, n)` bool, True at real tokens; padding has no effect.
            embedding_scale: guidance `w`: `null + w * (conditional - null)`, in one batched call.
            embedding_mask_proba: probability that an item's embedding is replaced by the null
                one, whether in training mode or not.
            channels: for each level None or a context `(b, context_channels[i], *t_i)`, where
                `t_i` is `t` over the product of the factors up to level `i`, rounded up.
            labels: classes `(b,)` or `(b, k)` int64, -1 for unknown; None for all unknown.
            text: not available; pass encoded text as `embedding`.
            generator: source of the random draws of label dropout and `embedding_mask_proba`.

        Raises:
            ValueError: if an argument is missing, of the wrong shape or of no use.
        """
        if text is not None:
            raise ValueError(
                "text cannot be encoded yet: encode it beforehand and pass it as `embedding=`"
            )
        check_input(x, self.dim, self.in_channels)
        batch, sizes = x.shape[0], x.shape[2:]
        multiple = prod(self.factors)
        padded = [-(-size // multiple) * multiple for size in sizes]
        contexts = padded_contexts(
            channels, self.context_channels, self.factors, batch, sizes, padded
        )
        features = self._features(x, time, features, labels, generator)
        x = pad_to(x, padded)
        check_embedding(
            embedding, embedding_mask, batch, self.embedding_features, self.needs_embedding
        )
        if self.null_embedding is None or embedding is None:
            if embedding_scale != 1.0 or embedding_mask_proba != 0.0:
                raise ValueError(
                    "embedding_scale and embedding_mask_proba need a null embedding: build the "
                    "network with use_embedding_cfg=True and embedding_max_length"
                )
            return crop_to(self._run(x, features, embedding, embedding_mask, contexts), sizes)

        null = self.null_embedding(embedding).to(embedding.dtype)
        if embedding_mask_proba > 0.0:
            dropped = _random_items(embedding, embedding_mask_proba, generator)
            embedding = torch.where(dropped, null, embedding)
        if embedding_scale == 1.0:
            return crop_to(self._run(x, features, embedding, embedding_mask, contexts), sizes)
        out = self._run(
            torch.cat([x, x]),
            _twice(features),
            torch.cat([embedding, null]),
            _twice(embedding_mask),
            [_twice(context) for context in contexts],
        )
        conditional, unconditional = crop_to(out, sizes).chunk(2)
        return unconditional + (conditional - unconditional) * embedding_scale

    def _run(
        self,
        x: Tensor,
        features: Tensor | None,
        embedding: Tensor | None,
        embedding_mask: Tensor | None,
        contexts: Sequence[Tensor | None],
    ) -> Tensor:
        skips = []
        conditions = [
            Conditions(features, embedding, embedding_mask, context) for context in contexts
        ]
        for level, cond in zip(self.levels, conditions, strict=True):
            skips.append(x)
            x = level.descend(x, cond)
        for level, cond in zip(reversed(self.levels), reversed(conditions), strict=True):
            x = level.ascend(x, skips.pop(), cond)
        return x

    def _features(
        self,
        x: Tensor,
        time: Tensor | None,
        features: Tensor | None,
        labels: Tensor | None,
        generator: torch.Generator | None,
    ) -> Tensor | None:
        """Sum what modulates: given features, time, energy, labels; `(b, modulation_features)`."""
        batch = x.shape[0]
        if features is not None:
            check_features(features, self.modulation_features, batch)
        if self.time_embedding is not None:
            time_features: Tensor = self.time_embedding(check_time(time, batch))
            features = time_features if features is None else features + time_features
        if self.energy_embedding is not None:
            energy: Tensor = self.energy_embedding(x)
            features = energy if features is None else features + energy
        if labels is not None and self.class_embedding is None:
            raise ValueError("labels need a network with num_classes, got None: leave them")
        if features is None:
            if self.modulation_features is not None:
                raise ValueError(
                    "features are missing: without time conditioning the modulation needs "
                    "`features=` (or build the network with use_modulation=False)"
                )
            return None
        features = features.expand(batch, -1)
        if self.class_embedding is not None:
            features = self.class_embedding(features, labels, generator=generator)
        return features


def _stack(
    in_channels: int, out_channels: int, levels: Sequence[LevelShape], shared: ItemShape
) -> Sequence[UNetLevel]:
    """Return the levels from the outermost in, a `ModuleList`."""
    widths = [in_channels, *(level.channels for level in levels[:-1])]
    parts = zip(widths, [out_channels, *widths[1:]], levels, strict=True)
    stack = nn.ModuleList(UNetLevel(*part, shared) for part in parts)
    return cast("Sequence[UNetLevel]", stack)  # for the type checker


def _twice(x: Tensor | None) -> Tensor | None:
    return None if x is None else torch.cat([x, x])


def _random_items(like: Tensor, probability: float, generator: torch.Generator | None) -> Tensor:
    """Draw `(b, 1, 1)` bool, True with the given probability."""
    device = like.device if generator is None else generator.device
    draws = torch.rand(like.shape[0], 1, 1, device=device, generator=generator)
    return draws.to(like.device) < probability
