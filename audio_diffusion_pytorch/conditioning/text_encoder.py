"""What a text encoder answers, and what all of ours share."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor


class EncodedText(NamedTuple):
    """Texts as tokens.

    Attributes:
        embedding: `(b, n, f)`, the tokens of the longest text; shorter ones are padded.
        mask: `(b, n)` bool, True at real tokens; None where all count, padding too.
    """

    embedding: Tensor
    mask: Tensor | None


@runtime_checkable
class TextEncoder(Protocol):
    """Turns `b` texts into tokens; any callable with `embedding_features` is one.

    Attributes:
        embedding_features: Features of one token.
    """

    @property
    def embedding_features(self) -> int:
        """Features of one token."""

    def __call__(self, texts: Sequence[str], /) -> Tensor | tuple[Tensor, Tensor | None]:
        """Return `(b, n, embedding_features)`, alone or with a mask `(b, n)` of real tokens."""


def pad_tokens(pieces: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Return texts of `n_i` tokens each, `(n_i, f)`, as a batch `(b, n, f)`, mask `(b, n)`."""
    lengths = torch.tensor([len(piece) for piece in pieces], device=pieces[0].device)
    embedding = torch.nn.utils.rnn.pad_sequence(list(pieces), batch_first=True)
    positions = torch.arange(embedding.shape[1], device=embedding.device)
    return embedding, positions < lengths[:, None]


def warn_of_cuts(lengths: Sequence[int], max_length: int) -> bool:
    """Warn if texts of these lengths lose tokens; return whether they do."""
    cut = [length - max_length for length in lengths if length > max_length]
    if cut:
        warnings.warn(
            f"{len(cut)} of {len(lengths)} texts are longer than max_length={max_length} tokens: "
            f"{max(cut)} tokens were cut off the longest; shorten them or raise max_length (said "
            "once)",
            stacklevel=3,
        )
    return bool(cut)
