"""Multi-head attention of a signal to itself or to a sequence of tokens."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


class Attention(nn.Module):
    """Pre-normalised residual attention over all positions of a signal.

    Without `context_features` the signal attends to itself; with it, to `context`. Queries and
    keys have `num_heads` heads of `head_features` each; there is no positional code, so that any
    length works (the convolutions around it know the order).

    Shapes: `(b, channels, *t), context (b, n, context_features), mask (b, n) -> (b, channels, *t)`.
    `mask` is True at real tokens; padded ones have no effect at all, and an item without a single
    real token is returned unchanged.

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

    def forward(
        self, x: Tensor, context: Tensor | None = None, mask: Tensor | None = None
    ) -> Tensor:
        sequence = x.flatten(2).transpose(1, 2).contiguous()  # (b, n, c)
        if self.context_features is None:
            context = sequence
        elif context is None or context.shape[-1] != self.context_features:
            came = "nothing" if context is None else f"shape {tuple(context.shape)}"
            raise ValueError(
                f"cross attention needs a context of shape (b, n, {self.context_features}), "
                f"got {came}: pass it as `embedding=`"
            )
        q = self._split_heads(self.to_q(self.norm(sequence)))
        keys, values = self.to_kv(self.norm_context(context)).chunk(2, dim=-1)
        k, v = self._split_heads(keys), self._split_heads(values)
        if mask is None:
            out = F.scaled_dot_product_attention(q, k, v)
        else:
            empty = ~mask.any(dim=1)[:, None, None, None]
            # A row without any token has no softmax: let it see all, then take its result away.
            out = F.scaled_dot_product_attention(q, k, v, mask[:, None, None, :] | empty)
            out = out.masked_fill(empty, 0.0)
        joined: Tensor = self.to_out(out.transpose(1, 2).flatten(2))
        return x + joined.transpose(1, 2).reshape(x.shape)

    def _split_heads(self, x: Tensor) -> Tensor:
        return x.reshape(*x.shape[:2], self.num_heads, -1).transpose(1, 2)  # (b, h, n, d)
