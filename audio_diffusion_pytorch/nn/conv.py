"""Convolutions of one, two or three dimensions, and the strided pair that changes the rate."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

_CONVOLUTIONS: dict[int, type[nn.Conv1d] | type[nn.Conv2d] | type[nn.Conv3d]] = {
    1: nn.Conv1d,
    2: nn.Conv2d,
    3: nn.Conv3d,
}


def conv_nd(
    dim: int,
    in_channels: int,
    out_channels: int,
    kernel_size: int,
    stride: int = 1,
    padding: int = 0,
) -> nn.Conv1d | nn.Conv2d | nn.Conv3d:
    """Make a convolution over `dim` axes, `(b, in_channels, *t) -> (b, out_channels, *t')`.

    Raises:
        ValueError: if `dim` is not 1, 2 or 3.
    """
    if dim not in _CONVOLUTIONS:
        raise ValueError(f"dim must be 1, 2 or 3, got {dim!r}: pass the number of axes after b, c")
    return _CONVOLUTIONS[dim](in_channels, out_channels, kernel_size, stride, padding)


class Downsample(nn.Module):
    """Shortens every axis by `factor`: a convolution whose kernel and stride are both `factor`.

    Shapes: `(b, in_channels, *t) -> (b, out_channels, *(t // factor))`.
    """

    def __init__(self, dim: int, in_channels: int, out_channels: int, factor: int) -> None:
        super().__init__()
        self.conv = conv_nd(dim, in_channels, out_channels, factor, stride=factor)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.conv(x)
        return out


class Upsample(nn.Module):
    """Lengthens every axis by `factor`: nearest neighbour, then a convolution of width 3.

    Repeating before convolving leaves no checkerboard, unlike a transposed convolution.
    Shapes: `(b, in_channels, *t) -> (b, out_channels, *(t * factor))`.
    """

    def __init__(self, dim: int, in_channels: int, out_channels: int, factor: int) -> None:
        super().__init__()
        self.factor = factor
        self.conv = conv_nd(dim, in_channels, out_channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        if self.factor > 1:
            x = F.interpolate(x, scale_factor=float(self.factor), mode="nearest")
        out: Tensor = self.conv(x)
        return out
