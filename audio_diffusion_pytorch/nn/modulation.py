"""How a vector of features (time, classes, ...) steers a signal."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .conv import conv_nd


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
        scale, shift = vectors.reshape(*vectors.shape, *(1,) * (x.ndim - 2)).chunk(2, dim=1)
        # Written out over axis 1: F.layer_norm would need two transposed copies, which take
        # longer than the norm itself.
        centred = x - x.mean(dim=1, keepdim=True)
        gain = torch.rsqrt(centred.square().mean(dim=1, keepdim=True) + 1e-6)
        return torch.addcmul(shift, centred * gain, 1 + scale)


class MergeModulate(nn.Module):
    """Adds a branch to its skip connection with a gain per channel that `features` decide.

    `y = skip + scale * branch`, with `scale` linear in `silu(features)`.

    Shapes: `skip, branch (b, channels, *t), features (b, num_features) -> (b, channels, *t)`.
    """

    def __init__(self, channels: int, num_features: int) -> None:
        super().__init__()
        self.to_scale = nn.Linear(num_features, channels)

    def forward(self, skip: Tensor, branch: Tensor, features: Tensor) -> Tensor:
        scale: Tensor = self.to_scale(F.silu(features))
        return skip + scale.reshape(*scale.shape, *(1,) * (skip.ndim - 2)) * branch


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
        gain: Tensor = self.to_gain(F.silu(features))
        return torch.addcmul(branch, gain.reshape(*gain.shape, *(1,) * (skip.ndim - 2)), skip)


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

    Shapes: `(b, channels, *t), context (b, context_channels, *t) -> (b, channels, *t)`.
    """

    def __init__(self, dim: int, channels: int, context_channels: int) -> None:
        super().__init__()
        self.conv = conv_nd(dim, channels + context_channels, channels, 1)

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        out: Tensor = self.conv(torch.cat([x, context], dim=1)) + x
        return out
