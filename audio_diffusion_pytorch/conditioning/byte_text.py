"""A small text encoder of our own, learnt along with the network: no download, no vocabulary."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from audio_diffusion_pytorch.serialization import Recorded

from .text_encoder import EncodedText, pad_tokens, warn_of_cuts

_END = 256  # after the 256 bytes


class ByteText(Recorded, nn.Module):
    """The UTF-8 bytes of a text with their positions, through a few transformer layers.

    It starts from nothing and is trained with the network it is a part of: enough for captions
    from a small vocabulary, such as those made from file names. It knows no language; for free
    texts take a pretrained encoder, such as `T5Text`.

    Each text ends with a mark, so that an empty one has a token too.

    Args:
        embedding_features: Features of a token.
        max_length: Most tokens of a text, the end mark included; longer ones are cut, with one
            warning.
        num_layers: Transformer layers; 0: bytes and positions alone.
        num_heads: Heads of their attention.

    Shapes: `b` texts -> `EncodedText`, embedding `(b, n, embedding_features)`, mask `(b, n)`.

    Raises:
        ValueError: If the heads do not divide the features, or a size is too small.
    """

    def __init__(
        self,
        embedding_features: int = 128,
        max_length: int = 64,
        *,
        num_layers: int = 2,
        num_heads: int = 4,
    ) -> None:
        super().__init__()
        if min(embedding_features, max_length, num_heads) < 1 or num_layers < 0:
            raise ValueError(
                "embedding_features, max_length and num_heads must be at least 1 and num_layers at "
                f"least 0, got {embedding_features}, {max_length}, {num_heads} and {num_layers}"
            )
        if embedding_features % num_heads:
            raise ValueError(
                f"embedding_features must be a multiple of num_heads={num_heads}, got "
                f"{embedding_features}: change one of them"
            )
        self.embedding_features, self.max_length = embedding_features, max_length
        self.bytes = nn.Embedding(_END + 1, embedding_features)
        self.positions = nn.Embedding(max_length, embedding_features)
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(
                embedding_features,
                num_heads,
                4 * embedding_features,
                dropout=0.0,
                activation="gelu",
                batch_first=True,
                norm_first=True,
            )
            for _ in range(num_layers)
        )
        self._warned = False

    def forward(self, texts: Sequence[str]) -> EncodedText:
        codes = [list(text.encode("utf-8")) for text in texts]
        if not self._warned:
            self._warned = warn_of_cuts([len(code) + 1 for code in codes], self.max_length)
        rows = [torch.tensor([*code[: self.max_length - 1], _END]) for code in codes]
        ids, mask = (x.to(self.bytes.weight.device) for x in pad_tokens(rows))
        x = self.bytes(ids) + self.positions.weight[: ids.shape[1]]
        for layer in self.layers:
            x = layer(x, src_key_padding_mask=~mask)
        return EncodedText(x, mask)
