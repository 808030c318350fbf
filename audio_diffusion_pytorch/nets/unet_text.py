"""What the cross attentions of a U-Net see: text and tokens, dropped, negated and guided."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from audio_diffusion_pytorch.conditioning import EncodedText, TextEncoder
from audio_diffusion_pytorch.nn import FixedEmbedding

from .unet_inputs import check_embedding

Words = str | Sequence[str | None]  # None: no text, the null embedding

_NO_NULL = (
    "embedding_scale, embedding_mask_proba and missing texts need a null embedding: build the "
    "network with use_embedding_cfg=True and embedding_max_length"
)


class TokenParts(Protocol):
    """The parts of `UNetV0` that make tokens."""

    text_encoder: TextEncoder | None
    null_embedding: FixedEmbedding | None
    embedding_features: int | None
    needs_embedding: bool
    training: bool


class TokenInputs(NamedTuple):
    """What a call says of tokens; `UNetV0.forward` explains each."""

    text: Words | None = None
    embedding: Tensor | None = None
    embedding_mask: Tensor | None = None
    embedding_scale: float = 1.0
    embedding_mask_proba: float = 0.0
    negative_text: Words | None = None
    negative_embedding: Tensor | None = None
    negative_embedding_mask: Tensor | None = None


class GuidedTokens(NamedTuple):
    """What a call of the network, or every call of one sampling, attends to.

    Attributes:
        embedding: `(b, n, f)`; under guidance `(2 b, n, f)`, first the tokens to follow, then those
            to move away from; None where nothing attends to any.
        mask: Of the tokens that count, `(b, n)` or `(2 b, n)`; None where all do.
        scale: Of guidance; None for one pass without.
    """

    embedding: Tensor | None
    mask: Tensor | None
    scale: float | None


def resolve_tokens(
    net: TokenParts, given: TokenInputs, like: Tensor, generator: torch.Generator | None = None
) -> GuidedTokens:
    """Return what to attend to, which depends neither on the values of the signal nor on its time.

    Tokens without a mask are met by as many of the null embedding, as in upstream. Where a mask is
    in play, as it is for text, the whole null embedding counts, so that what guidance moves away
    from depends neither on padding nor on the longest text of a batch.

    Args:
        net: The network.
        given: What it is called with.
        like: Anything with the batch size, the device and the dtype of the noisy signal.
        generator: Of the draws of `embedding_mask_proba`, which acts in training mode only.

    Raises:
        ValueError: If something is missing, of the wrong shape or of no use.
    """
    scale = given.embedding_scale
    wanted = _tokens(net, like, given.text, given.embedding, given.embedding_mask)
    unwanted = _negative_tokens(net, like, given)
    if wanted is None:
        wanted = _without_tokens(net, like, given)
    elif net.null_embedding is not None or given.embedding_mask_proba != 0.0:
        null = _null_for(net, wanted)  # asked for in any case: it refuses too many tokens
        if net.training and given.embedding_mask_proba > 0.0:
            dropped = _random_items(like, given.embedding_mask_proba, generator)
            wanted = _replaced(wanted, null, dropped)
    if wanted is None:
        return GuidedTokens(None, None, None)
    if scale == 1.0:
        return GuidedTokens(wanted.embedding, wanted.mask, None)
    one, other = _aligned(wanted, unwanted or _null_for(net, wanted))
    embedding = torch.cat([one.embedding, other.embedding])
    both = None if one.mask is None or other.mask is None else torch.cat([one.mask, other.mask])
    return GuidedTokens(embedding, both, scale)


def encode_text(
    encoder: TextEncoder | None, texts: Sequence[str], features: int | None
) -> EncodedText:
    """Return texts as checked tokens; the mask is None if the encoder gives none.

    Raises:
        ValueError: If there is no encoder, or it answers anything but `(b, n, features)`.
    """
    if encoder is None:
        raise ValueError(
            "text needs a network with use_text_conditioning=True, got False: build it so, or pass "
            "encoded text as `embedding=`"
        )
    encoded = encoder(texts)
    embedding, mask = (encoded, None) if isinstance(encoded, Tensor) else encoded
    if embedding.ndim != 3 or len(embedding) != len(texts) or embedding.shape[2] != features:
        raise ValueError(
            f"the text encoder must answer {len(texts)} texts by tokens of shape ({len(texts)}, n, "
            f"embedding_features={features}), got {tuple(embedding.shape)}: build the network with "
            "the embedding_features of the encoder"
        )
    if mask is not None and mask.shape != embedding.shape[:2]:
        raise ValueError(
            f"the text encoder must give a mask of shape {tuple(embedding.shape[:2])}, got "
            f"{tuple(mask.shape)}: True stands for a real token"
        )
    return EncodedText(embedding, None if mask is None else mask.bool())


def _tokens(
    net: TokenParts,
    like: Tensor,
    text: Words | None,
    embedding: Tensor | None,
    mask: Tensor | None,
) -> EncodedText | None:
    """Return the tokens of the text, then those of the embedding; None without either."""
    check_embedding(embedding, mask, len(like), net.embedding_features, net.needs_embedding)
    tokens = None if embedding is None else EncodedText(embedding, mask)
    if text is None:
        return tokens
    words = _words(text, len(like))
    encode = torch.compiler.disable(encode_text)  # words are no tensors
    strings = [word or "" for word in words]
    encoded: EncodedText = encode(net.text_encoder, strings, net.embedding_features)
    spoken = EncodedText(
        encoded.embedding.to(like), None if encoded.mask is None else encoded.mask.to(like.device)
    )
    if None in words:
        absent = torch.tensor([word is None for word in words], device=like.device)[:, None, None]
        spoken = _replaced(spoken, _null_for(net, spoken), absent)
    if tokens is None:
        return spoken
    masks = [_mask(part) for part in (spoken, tokens)]
    plain = spoken.mask is None and tokens.mask is None
    return EncodedText(
        torch.cat([spoken.embedding, tokens.embedding], dim=1),
        None if plain else torch.cat(masks, dim=1),
    )


def _negative_tokens(net: TokenParts, like: Tensor, given: TokenInputs) -> EncodedText | None:
    """Return the tokens to move away from, if any are given; one item serves the batch."""
    text, embedding = given.negative_text, given.negative_embedding
    mask = given.negative_embedding_mask
    if (text is not None or embedding is not None) and given.embedding_scale == 1.0:
        raise ValueError(
            "negative_text and negative_embedding act through embedding_scale, got 1: pass for "
            "instance embedding_scale=3.0, or for guidance= instead of them "
            'null_cond={"text": [...]} or {"embedding": ...}'
        )
    if text is not None and not isinstance(text, str) and len(text) == 1:
        text = [*text] * len(like)
    if embedding is not None and len(embedding) == 1:
        embedding = embedding.expand(len(like), -1, -1)
        mask = None if mask is None else mask.expand(len(like), -1)
    return _tokens(net, like, text, embedding, mask)


def _without_tokens(net: TokenParts, like: Tensor, given: TokenInputs) -> EncodedText | None:
    """Return what stands where nothing is given: the null embedding, if there is one."""
    null = net.null_embedding
    if null is None and net.needs_embedding:
        text = "" if net.text_encoder is None else "`text=` or "
        raise ValueError(
            "an embedding is missing: a network with cross_attentions but without "
            f"use_embedding_cfg needs {text}`embedding=` of shape ({len(like)}, n, "
            f"{net.embedding_features})"
        )
    if given.embedding_scale != 1.0 or given.embedding_mask_proba != 0.0:
        negated = given.negative_text is not None or given.negative_embedding is not None
        if null is None:
            raise ValueError(_NO_NULL)
        if not negated:
            raise ValueError(
                "embedding_scale and embedding_mask_proba need a text or an embedding to act on, "
                "got none: pass `text=` or `embedding=`, or leave them"
            )
    if null is None:
        return None
    return EncodedText(null.embedding.weight.expand(len(like), -1, -1).to(like.dtype), None)


def _null_for(net: TokenParts, tokens: EncodedText) -> EncodedText:
    """Return the null embedding: as long as tokens without a mask, else all of it."""
    if net.null_embedding is None:
        raise ValueError(_NO_NULL)
    if tokens.mask is None:
        null = net.null_embedding(tokens.embedding)
    else:
        null = net.null_embedding.embedding.weight.expand(len(tokens.embedding), -1, -1)
    null = EncodedText(null.to(tokens.embedding.dtype), None)
    return null if tokens.mask is None else null._replace(mask=_mask(null))


def _replaced(tokens: EncodedText, null: EncodedText, items: Tensor) -> EncodedText:
    """Return the tokens, with the null ones for the items `(b, 1, 1)` bool that are True."""
    tokens, null = _aligned(tokens, null)
    embedding = torch.where(items, null.embedding, tokens.embedding)
    if tokens.mask is None or null.mask is None:
        return EncodedText(embedding, None)
    return EncodedText(embedding, torch.where(items[..., 0], null.mask, tokens.mask))


def _aligned(one: EncodedText, other: EncodedText) -> tuple[EncodedText, EncodedText]:
    """Return both equally long, with masks unless neither has one and none is needed."""
    lengths = one.embedding.shape[1], other.embedding.shape[1]
    if one.mask is None and other.mask is None and lengths[0] == lengths[1]:
        return one, other
    first, second = (
        EncodedText(
            F.pad(tokens.embedding, (0, 0, 0, max(lengths) - length)),
            F.pad(_mask(tokens), (0, max(lengths) - length)),
        )
        for tokens, length in zip((one, other), lengths, strict=True)
    )
    return first, second


def _mask(tokens: EncodedText) -> Tensor:
    """Return the mask `(b, n)`, all True if there is none."""
    if tokens.mask is not None:
        return tokens.mask
    return torch.ones(tokens.embedding.shape[:2], dtype=torch.bool, device=tokens.embedding.device)


def _words(text: Words, batch: int) -> list[str | None]:
    """Return one text for each item; a single string serves all."""
    words: list[str | None] = [text] * batch if isinstance(text, str) else list(text)
    wrong = [word for word in words if not (word is None or isinstance(word, str))]
    if wrong:
        raise ValueError(
            f"text must be strings (or None for no text), got {type(wrong[0]).__name__}: pass a "
            "list of strings, one for each item"
        )
    if len(words) != batch:
        raise ValueError(
            f"text must have one string for each of the {batch} items, got {len(words)}: repeat "
            "it, or pass a single string for all"
        )
    return words


def _random_items(like: Tensor, probability: float, generator: torch.Generator | None) -> Tensor:
    """Draw `(b, 1, 1)` bool, True with the given probability."""
    device = like.device if generator is None else generator.device
    draws = torch.rand(len(like), 1, 1, device=device, generator=generator)
    return draws.to(like.device) < probability
