"""The residual convolution block of the U-Net."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .conv import conv_nd


class ConvBlock(nn.Module):
    """Group normalisation, SiLU, convolution; the length stays for an odd `kernel_size`.

    Shapes: `(b, in_channels, *t) -> (b, out_channels, *t)`.

    Raises:
        ValueError: if `groups` does not divide `in_channels`, or `kernel_size` is even.
    """

    def __init__(
        self, dim: int, in_channels: int, out_channels: int, kernel_size: int = 3, groups: int = 8
    ) -> None:
        super().__init__()
        if in_channels % groups:
            raise ValueError(
                f"the channels of a block must be a multiple of its {groups} normalisation groups, "
                f"got {in_channels}: change the channels or the groups"
            )
        if kernel_size % 2 == 0:
            raise ValueError(f"kernel_size must be odd to keep the length, got {kernel_size}")
        self.norm = nn.GroupNorm(groups, in_channels)
        self.conv = conv_nd(dim, in_channels, out_channels, kernel_size, padding=kernel_size // 2)

    def forward(self, x: Tensor) -> Tensor:
        norm = self.norm
        # Not `norm(x)`: nn.GroupNorm refuses groups of a single value, which the innermost level
        # of a short input can have; there the result is the bias.
        x = torch.group_norm(x, norm.num_groups, norm.weight, norm.bias, norm.eps)
        out: Tensor = self.conv(F.silu(x))
        return out


class ResnetBlock(nn.Module):
    """Two `ConvBlock`s beside a shortcut (a convolution of width 1 where the channels change).

    Shapes: `(b, in_channels, *t) -> (b, out_channels, *t)`.
    """

    def __init__(
        self, dim: int, in_channels: int, out_channels: int, kernel_size: int = 3, groups: int = 8
    ) -> None:
        super().__init__()
        self.block1 = ConvBlock(dim, in_channels, out_channels, kernel_size, groups)
        self.block2 = ConvBlock(dim, out_channels, out_channels, kernel_size, groups)
        same = in_channels == out_channels
        self.shortcut = nn.Identity() if same else conv_nd(dim, in_channels, out_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.block2(self.block1(x)) + self.shortcut(x)
        return out
