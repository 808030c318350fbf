"""The residual convolution block of the U-Net."""

from __future__ import annotations

from torch import Tensor, nn

from .conv import conv_nd
from .norm_conv import norm_silu_conv


class ConvBlock(nn.Module):
    """Group normalisation, SiLU, convolution; the length stays for an odd `kernel_size`.

    For the backward pass only the input is kept: what lies between norm and convolution is
    computed again, which costs less than reading it back from memory that was given away.

    Shapes: `(b, in_channels, *t) -> (b, out_channels, *t)`; `plus`, of the shape of the result,
    is added to it.

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

    def forward(self, x: Tensor, plus: Tensor | None = None) -> Tensor:
        return norm_silu_conv(x, self.norm, self.conv, plus)


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
        out: Tensor = self.block2(self.block1(x), self.shortcut(x))
        return out
