"""Numbers, times and positions as vectors."""

from __future__ import annotations

from collections.abc import Sequence
from math import pi
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class NumberEmbedder(nn.Module):
    """Learned Fourier features of a number, followed by a linear layer.

    The frequencies start as a standard normal draw, so numbers should be of order 1.

    Shapes: `(*s) -> (*s, features)`; a list of floats is taken too.

    Raises:
        ValueError: if `dim`, the number of sines and cosines, is odd.
    """

    def __init__(self, features: int, dim: int = 256) -> None:
        super().__init__()
        if dim % 2:
            raise ValueError(f"dim must be even (sines and cosines in pairs), got {dim}")
        self.features = features
        self.weights = nn.Parameter(torch.randn(dim // 2))
        self.to_out = nn.Linear(dim + 1, features)

    def forward(self, x: Sequence[float] | Tensor) -> Tensor:
        # At least float32: the phase of a high frequency is lost in half precision.
        dtype = torch.promote_types(self.weights.dtype, torch.float32)
        numbers = torch.as_tensor(x, device=self.weights.device).to(dtype)[..., None]
        phases = numbers * self.weights.to(dtype) * 2 * pi
        fourier = torch.cat([numbers, phases.sin(), phases.cos()], dim=-1)
        out: Tensor = self.to_out(fourier.to(self.to_out.weight.dtype))
        return out


class TimeEmbedding(nn.Module):
    """Diffusion times as modulation features: `NumberEmbedder`, then two layers.

    As in the networks of upstream, which this one must load, the two layers are one, applied twice;
    that was an accident there and is the default here.

    Several times an item, `(b, n)`, are embedded singly and summed.

    Shapes: `(b,)` or `(b, n) -> (b, features)`.

    Args:
        features: of the result.
        tied: whether both layers are one. Without, weights of a tied one load into both.
    """

    def __init__(self, features: int, *, tied: bool = True) -> None:
        super().__init__()
        self.number = NumberEmbedder(features)
        self.layer = nn.Linear(features, features)
        self.second_layer = None if tied else nn.Linear(features, features)
        self.register_load_state_dict_pre_hook(_fill_second_layer)  # type: ignore[no-untyped-call]

    def forward(self, time: Tensor) -> Tensor:
        x = F.gelu(self.layer(F.gelu(self.number(time))))
        x = F.gelu((self.layer if self.second_layer is None else self.second_layer)(x))
        return x.sum(dim=1) if x.ndim == 3 else x


def _fill_second_layer(
    module: TimeEmbedding, state_dict: dict[str, Any], prefix: str, *_: object
) -> None:
    """Give a second layer the weights of the one that a tied embedding has; a load pre-hook."""
    if module.second_layer is None:
        return
    for name in ("weight", "bias"):
        if f"{prefix}layer.{name}" in state_dict:
            one = state_dict[f"{prefix}layer.{name}"]
            state_dict.setdefault(f"{prefix}second_layer.{name}", one)


class FixedEmbedding(nn.Module):
    """One learned vector a position: what stands where no embedding is given.

    Shapes: `(b, n, features) -> (b, n, features)`; of the argument only the shape is used.

    Raises:
        ValueError: in forward, if `n` exceeds `max_length`.
    """

    def __init__(self, max_length: int, features: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(max_length, features)

    def forward(self, like: Tensor) -> Tensor:
        batch, length = like.shape[:2]
        if length > self.embedding.num_embeddings:
            raise ValueError(
                f"an embedding may have at most {self.embedding.num_embeddings} tokens, got "
                f"{length}: shorten it or build the network with a larger embedding_max_length"
            )
        return self.embedding.weight[:length].expand(batch, -1, -1)
