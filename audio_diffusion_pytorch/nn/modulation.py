"""How a vector of features (time, classes, ...) steers a signal."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .conv import conv_nd, convolve
from .layout import (
    add_into,
    as_laid_out,
    from_rows,
    is_channels_last,
    over_channels,
    rows_of_channels,
)


class Modulation(nn.Module):
    """Adaptive layer norm: normalise the channels at each position, then scale and shift them.

    `y = norm(x) * (1 + scale) + shift`, with `scale` and `shift` linear in `silu(features)`
    (Peebles and Xie, "Scalable Diffusion Models with Transformers", 2022, section 3.2).

    Shapes: `(b, channels, *t), features (b, num_features) -> (b, channels, *t)`.
    """

    def __init__(self, channels: int, num_features: int) -> None:
        super().__init__()
        self.to_scale_shift = nn.Linear(num_features, 2 * channels)

    def forward(self, x: Tensor, features: Tensor) -> Tensor:
        vectors: Tensor = self.to_scale_shift(F.silu(features))
        scale, shift = vectors.chunk(2, dim=1)
        scale = 1 + scale
        if is_channels_last(x):
            return _modulate_channels_last(x, scale, shift)
        # Written out over axis 1: F.layer_norm would need two transposed copies, which take
        # longer than the norm itself.
        centred = x - x.mean(dim=1, keepdim=True)
        gain = torch.rsqrt(centred.square().mean(dim=1, keepdim=True) + 1e-6)
        if torch.is_grad_enabled():
            centred = centred * gain
        else:
            centred.mul_(gain)
        return torch.addcmul(over_channels(shift, x), centred, over_channels(scale, x))


def _modulate_channels_last(x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    tokens, channels = x.movedim(1, -1), x.shape[1:2]
    scale, shift = scale.to(x.dtype), shift.to(x.dtype)
    if len(scale) == 1:  # one pass, as the weights of the norm
        return F.layer_norm(tokens, channels, scale[0], shift[0], 1e-6).movedim(-1, 1)
    normed = F.layer_norm(tokens, channels, eps=1e-6).movedim(-1, 1)
    rows, scale, shift = rows_of_channels(normed, scale, shift)
    return from_rows(torch.addcmul(shift, rows, scale), x)


class MergeModulate(nn.Module):
    """Adds a branch to its skip connection with a gain per channel that `features` decide.

    `y = skip + scale * branch`, with `scale` linear in `silu(features)`.

    Shapes: `skip, branch (b, channels, *t), features (b, num_features) -> (b, channels, *t)`.
    """

    def __init__(self, channels: int, num_features: int) -> None:
        super().__init__()
        self.to_scale = nn.Linear(num_features, channels)

    def forward(self, skip: Tensor, branch: Tensor, features: Tensor) -> Tensor:
        return _add_scaled(skip, self.to_scale(F.silu(features)), branch)


def _add_scaled(x: Tensor, scale: Tensor, y: Tensor) -> Tensor:
    """Return `x + scale * y` in one pass, for `x, y (b, c, *t)` and `scale (b, c)`."""
    if not (is_channels_last(x) and is_channels_last(y)):
        return torch.addcmul(x, over_channels(scale, x), y)
    rows, long_scale = rows_of_channels(y, scale)
    (others,) = rows_of_channels(x)
    return from_rows(torch.addcmul(others, long_scale, rows), x)


class MergeGated(nn.Module):
    """Adds a branch to its skip connection, of which `features` decide how much passes.

    `y = gain * skip + branch`, with `gain` per channel linear in `silu(features)` and zero at the
    start: a network that ends in it, behind a last layer of zeros, starts by answering zero.

    Shapes: `skip, branch (b, channels, *t), features (b, num_features) -> (b, channels, *t)`.
    """

    def __init__(self, channels: int, num_features: int) -> None:
        super().__init__()
        self.to_gain = nn.Linear(num_features, channels)
        nn.init.zeros_(self.to_gain.weight)
        nn.init.zeros_(self.to_gain.bias)

    def forward(self, skip: Tensor, branch: Tensor, features: Tensor) -> Tensor:
        return _add_scaled(branch, self.to_gain(F.silu(features)), skip)


class MergeCat(nn.Module):
    """Joins a branch and its skip connection by concatenation and a convolution of width 1.

    The skip is scaled by `2 ** -0.5` first. Shapes: `skip, branch (b, channels, *t) -> the same`.
    """

    def __init__(self, dim: int, channels: int) -> None:
        super().__init__()
        self.conv = conv_nd(dim, 2 * channels, channels, 1)

    def forward(self, skip: Tensor, branch: Tensor) -> Tensor:
        out: Tensor = self.conv(torch.cat([skip * 2**-0.5, branch], dim=1))
        return out


class InjectChannels(nn.Module):
    """Mixes context channels of the same length into a signal, residually.

    `y = x + conv([x, context])` with a convolution of width 1, taken apart into one of `x` and one
    of the context: nothing is concatenated, and the second may be computed once by `project` and
    passed as `projected` to many calls.

    Shapes: `(b, channels, *t), context (b, context_channels, *t) -> (b, channels, *t)`; a batch
    that is several times as large as the context's meets it again and again.
    """

    def __init__(self, dim: int, channels: int, context_channels: int) -> None:
        super().__init__()
        self.channels = channels
        self.conv = conv_nd(dim, channels + context_channels, channels, 1)

    def project(self, context: Tensor) -> Tensor:
        """Return the part of the result that depends on the context alone, without the bias."""
        return convolve(context, self.conv.weight[:, self.channels :])

    def forward(
        self, x: Tensor, context: Tensor | None = None, *, projected: Tensor | None = None
    ) -> Tensor:
        if projected is None:
            if context is None:
                raise ValueError(
                    f"a context of {self.conv.in_channels - self.channels} channels is missing: "
                    "pass it as `channels=`"
                )
            projected = self.project(as_laid_out(context, like=x))
        out = convolve(x, self.conv.weight[:, : self.channels], self.conv.bias)
        out, projected = add_into(out, x), as_laid_out(projected, like=x)
        if len(projected) == len(x):
            return add_into(out, projected)
        return add_into(out.unflatten(0, (-1, len(projected))), projected).flatten(0, 1)
