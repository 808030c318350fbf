"""The U-Net of audio-diffusion-pytorch 0.1, natively: same numbers, ordinary modules."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any, cast

import torch
from torch import Tensor, nn

from audio_diffusion_pytorch.conditioning import EncodedText, T5Text, TextEncoder
from audio_diffusion_pytorch.nn import (
    ClassEmbedding,
    EnergyEmbedding,
    FixedEmbedding,
    TimeEmbedding,
    crop_to,
    pad_to,
)
from audio_diffusion_pytorch.serialization import Pretrained

from .unet_checks import (
    check_attention,
    check_modulation,
    check_signal,
    check_text,
    level_shapes,
)
from .unet_inputs import check_features, check_input, check_time, padded_contexts
from .unet_keys import rename_upstream_keys
from .unet_level import Conditions, ItemShape, LevelReady, LevelShape, UNetLevel
from .unet_prepare import Prepared, check_prepared_alone, fitted, prepare
from .unet_text import TokenInputs, Words, encode_text, resolve_tokens


class UNetV0(Pretrained, nn.Module):
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
        embedding_features: features of one `embedding` token; by default those of the encoder.
        resnet_groups: groups of the group normalisations.
        use_modulation: whether features scale and shift all items.
        modulation_features: number of those features.
        embedding_max_length: tokens of the null embedding of `use_embedding_cfg`.
        use_time_conditioning: whether `time` is embedded; if not, `time` is ignored.
        use_embedding_cfg: whether to learn a null embedding, for classifier-free guidance.
        use_text_conditioning: whether `text` may be given, which `text_encoder` encodes.
        out_channels: channels of the output, `in_channels` by default.
        text_encoder: turns texts into tokens, such as `T5Text("t5-base")`, the default, which is
            loaded when the first text comes; or any callable with `embedding_features`. A module
            becomes a part of the network, weights and all. Switches `use_text_conditioning` on.
        num_classes: classes of each column of `labels`, `n` or `(n, m, ...)`.
        class_dropout: probability, in training mode, that an item's labels become unknown.
        gated_skip: whether the time decides how much of the input passes straight to the output,
            none of it at the start, in place of upstream's identity there. A velocity hardly
            resembles its noisy input, so the identity has to be unlearnt first: with the gate the
            loss starts at that of answering zero. Not loadable from upstream's weights.
        energy_embedding: whether the energies of the input, of each channel and of all, modulate as
            the time does. Normalisations hide them; they tell loudness and spectrum under noise.
        tied_time_layers: whether the two layers behind the time's embedding are one, as in upstream
            by accident. Two of their own say more; upstream's weights load into both.
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
        text_encoder: TextEncoder | None = None,
        num_classes: int | Sequence[int] | None = None,
        class_dropout: float = 0.1,
        gated_skip: bool = False,
        energy_embedding: bool = False,
        tied_time_layers: bool = True,
        gradient_checkpointing: bool = False,
    ) -> None:
        super().__init__()
        self.dim, self.in_channels = dim, in_channels
        self.out_channels = in_channels if out_channels is None else out_channels
        check_signal(self.in_channels, self.out_channels)
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
        if use_text_conditioning and text_encoder is None:
            text_encoder = T5Text(max_length=min(64, embedding_max_length or 64))
        self.text_encoder = text_encoder
        if text_encoder is not None:
            if embedding_features is None:
                embedding_features = text_encoder.embedding_features
            check_text(levels, text_encoder.embedding_features, embedding_features)
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
        self.time_embedding = (
            TimeEmbedding(modulation_features, tied=tied_time_layers)
            if use_time_conditioning
            else None
        )
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

    def prepare(self, **cond: Any) -> dict[str, Any]:
        """Return conditions with everything computed that depends on neither signal nor time.

        `net(x, time, **net.prepare(**cond))` says the same as `net(x, time, **cond)`. Over the
        steps of a sampling, texts are encoded once, and so are the keys and values of the tokens,
        the projections of the `channels`, and what `embedding_scale` stacks. Samplers do this by
        themselves. In training mode, and where the conditions do not tell the batch size, nothing
        is computed.

        Args:
            **cond: as `forward` takes them.

        Raises:
            ValueError: as `forward`.
        """
        return prepare(self, cond)

    def compile_blocks(self, **options: Any) -> None:
        """Compile the repeated item of each level once, in place; the first call then takes longer.

        `torch.compile(net)` compiles every item anew. Here the items of a level, on the way down
        and up, share one compiled code: the README's network of 42 items compiles 9. Copies and
        pickles of the network are not compiled.

        Args:
            **options: As `torch.compile` takes them, such as `dynamic=True` for many lengths.

        Raises:
            FileNotFoundError: If the network is on a CPU and there is no C++ compiler.
        """
        for level in self.levels:
            level.compile_items(**options)

    def encode_text(self, texts: Sequence[str]) -> EncodedText:
        """Return texts as `(embedding (b, n, f), mask (b, n))`, to be kept and passed as such.

        The mask is None if the encoder gives none.

        Raises:
            ValueError: if the network has no text encoder, or `texts` is a single string.
        """
        if isinstance(texts, str):
            raise ValueError("texts must be a list of strings, got a single one: pass [text]")
        return encode_text(self.text_encoder, list(texts), self.embedding_features)

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
        text: Words | None = None,
        negative_text: Words | None = None,
        negative_embedding: Tensor | None = None,
        negative_embedding_mask: Tensor | None = None,
        generator: torch.Generator | None = None,
        prepared: Prepared | None = None,
    ) -> Tensor:
        """Map `x (b, in_channels, *t)` to `(b, out_channels, *t)`, for any lengths `t`.

        Lengths that are no multiple of the product of all factors are padded with zeros at the
        end, and the result is cropped.

        Args:
            x: input `(b, in_channels, *t)`.
            time: diffusion times `(b,)`, or `(b, n)` whose embeddings are summed.
            features: `(b, modulation_features)`, added to those of the time.
            embedding: tokens `(b, n, embedding_features)` for the cross attentions, behind those
                of `text`. Without both, the null embedding.
            embedding_mask: `(b, n)` bool, True at real tokens; padding has no effect.
            embedding_scale: guidance `w`: `null + w * (conditional - null)`, in one batched call.
            embedding_mask_proba: probability, in training mode, that an item's tokens are replaced
                by the null embedding.
            channels: for each level None or a context `(b, context_channels[i], *t_i)`, where
                `t_i` is `t` over the product of the factors up to level `i`, rounded up.
            labels: classes `(b,)` or `(b, k)` int64, -1 for unknown; None for all unknown.
            text: a string for each item (None: no text), or one for all.
            negative_text: likewise, for guidance to move away from in place of the null embedding;
                a list of one serves all.
            negative_embedding: likewise, tokens `(b, n, embedding_features)` or `(1, ...)`.
            negative_embedding_mask: of the real tokens among them.
            generator: source of the random draws of label dropout and `embedding_mask_proba`.
            prepared: what `prepare` made of tokens, texts and channels, in place of them.

        Raises:
            ValueError: if an argument is missing, of the wrong shape or of no use.
        """
        check_input(x, self.dim, self.in_channels)
        batch, sizes = x.shape[0], x.shape[2:]
        multiple = prod(self.factors)
        padded = [-(-size // multiple) * multiple for size in sizes]
        features = self._features(x, time, features, labels, generator)
        given = TokenInputs(
            text,
            embedding,
            embedding_mask,
            embedding_scale,
            embedding_mask_proba,
            negative_text,
            negative_embedding,
            negative_embedding_mask,
        )
        if prepared is None:
            contexts = padded_contexts(
                channels, self.context_channels, self.factors, batch, sizes, padded
            )
            embedding, embedding_mask, scale = resolve_tokens(self, given, x, generator)
            ready = None
        else:
            check_prepared_alone(given, channels)
            ready, scale = fitted(prepared, self, batch, sizes, padded), prepared.scale
            contexts = [None] * len(self.levels)
        conditions = [
            Conditions(features, embedding, embedding_mask, context) for context in contexts
        ]
        out = crop_to(self._run(pad_to(x, padded), conditions, ready, scale is not None), sizes)
        if scale is None:
            return out
        conditional, unconditional = out.chunk(2)
        return torch.lerp(unconditional, conditional, scale)

    def _run(
        self,
        x: Tensor,
        conditions: Sequence[Conditions],
        ready: Sequence[LevelReady] | None,
        guided: bool,
    ) -> Tensor:
        """Run all levels; guided, double the batch where the tokens first tell the halves apart."""
        skips, depths = [], len(self.levels)
        parts = [None] * depths if ready is None else ready
        steps = list(zip(self.levels, conditions, parts, strict=True))
        attending = (i for i, level in enumerate(self.levels) if level.attends_to_tokens)
        apart = next(attending, depths) if guided else depths
        for depth, (level, cond, part) in enumerate(steps):
            skips.append(x)
            if depth >= apart:
                x = torch.cat([x, x]) if depth == apart else x
                cond = cond._replace(features=_twice(cond.features))
            x = level.descend(x, cond, part)
        if guided and apart == depths:
            x = torch.cat([x, x])
        for level, cond, part in reversed(steps):
            if guided:
                cond = cond._replace(features=_twice(cond.features))
            x = level.ascend(x, skips.pop(), cond, part)
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
