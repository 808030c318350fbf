"""Multi-head attention of a signal to itself or to a sequence of tokens."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .conv import convolve_rows, untouched

_BOTH = torch.backends.mkl.is_available() and torch.backends.mkldnn.is_available()


class Memory(NamedTuple):
    """What attention needs of a context.

    Attributes:
        keys: `(b, heads, n, head_features)`.
        values: Of the same shape.
        mask: `(b, 1, 1, n)`, True at tokens that are seen; None: all are.
        empty: `(b, 1, 1, 1)`, True at items without a single real token; None: there are none.
    """

    keys: Tensor
    values: Tensor
    mask: Tensor | None
    empty: Tensor | None


class Attention(nn.Module):
    """Pre-normalised residual attention over all positions of a signal.

    Without `context_features` the signal attends to itself; with it, to `context`. Queries and
    keys have `num_heads` heads of `head_features` each; there is no positional code, so that any
    length works (the convolutions around it know the order).

    Shapes: `(b, channels, *t), context (b, n, context_features), mask (b, n) -> (b, channels, *t)`.
    `mask` is True at real tokens; padded ones have no effect at all, and an item without a single
    real token is returned unchanged. In place of both there may be a `memory` of them, by
    `remember`.

    Args:
        channels: Channels of the signal.
        head_features: Features of one head.
        num_heads: Number of heads.
        context_features: Features of one token of the context; None: attention to itself.

    Raises:
        ValueError: In forward, if the context is missing or has other features.

    Source: Vaswani et al. 2017, "Attention is all you need", arXiv 1706.03762, section 3.2.
    """

    def __init__(
        self,
        channels: int,
        *,
        head_features: int,
        num_heads: int,
        context_features: int | None = None,
    ) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.context_features = context_features
        inner = head_features * num_heads
        source = channels if context_features is None else context_features
        self.norm = nn.LayerNorm(channels)
        self.norm_context = nn.LayerNorm(source)
        self.to_q = nn.Linear(channels, inner, bias=False)
        self.to_kv = nn.Linear(source, 2 * inner, bias=False)
        self.to_out = nn.Linear(inner, channels, bias=False)

    def remember(self, context: Tensor, mask: Tensor | None = None) -> Memory:
        """Return what attention needs of a context, for as many calls as see the same one.

        Args:
            context: Tokens `(b, n, context_features)`.
            mask: `(b, n)` bool, True at real tokens.

        Raises:
            ValueError: If the tokens have other features.
        """
        if context.shape[-1] != self.norm_context.normalized_shape[0]:
            raise ValueError(self._wanted(f"shape {tuple(context.shape)}"))
        keys, values = project(self.norm_context(context), self.to_kv).chunk(2, dim=-1)
        keys, values = self._split_heads(keys), self._split_heads(values)
        if mask is None:
            return Memory(keys, values, None, None)
        empty = ~mask.any(dim=1)[:, None, None, None]
        # A row without any token has no softmax: let it see all, then take its result away.
        return Memory(keys, values, mask[:, None, None, :] | empty, empty)

    def forward(
        self,
        x: Tensor,
        context: Tensor | None = None,
        mask: Tensor | None = None,
        *,
        memory: Memory | None = None,
    ) -> Tensor:
        sequence = x.flatten(2).transpose(1, 2).contiguous()  # (b, n, c)
        if memory is None:
            if self.context_features is None:
                context = sequence
            elif context is None:
                raise ValueError(self._wanted("nothing"))
            memory = self.remember(context, mask)
        q = self._split_heads(project(self.norm(sequence), self.to_q))
        out = F.scaled_dot_product_attention(q, memory.keys, memory.values, memory.mask)
        if memory.empty is not None:
            out = out.masked_fill(memory.empty, 0.0)
        joined = project(out.transpose(1, 2).flatten(2), self.to_out)
        return x + joined.transpose(1, 2).reshape(x.shape)

    def _wanted(self, came: str) -> str:
        return (
            f"cross attention needs a context of shape (b, n, {self.context_features}), "
            f"got {came}: pass it as `embedding=`"
        )

    def _split_heads(self, x: Tensor) -> Tensor:
        return x.reshape(*x.shape[:2], self.num_heads, -1).transpose(1, 2)  # (b, h, n, d)


def project(tokens: Tensor, linear: nn.Linear) -> Tensor:
    """Return `linear(tokens)` of `tokens (b, n, c)`, by whichever kernel is faster.

    On x86, torch multiplies float32 matrices with MKL, which runs at half speed on processors of
    another make (210 GFLOP/s against 460 by oneDNN's convolution of width 1, 2 cores of Zen 5).
    """
    full = tokens.dtype == torch.float32 and not torch.is_autocast_enabled("cpu")
    many = tokens.shape[0] * tokens.shape[1] >= 64  # otherwise the weights are all the work
    if full and many and tokens.device.type == "cpu" and _BOTH and untouched(linear):
        weight = linear.weight.unsqueeze(-1)
        return convolve_rows(tokens.transpose(1, 2), weight, linear.bias).transpose(1, 2)
    out: Tensor = linear(tokens)
    return out
