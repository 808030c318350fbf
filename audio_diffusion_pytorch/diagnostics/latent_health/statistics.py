"""The numbers behind the checks of latents: moments of each channel, correlations between them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

MAX_FRAMES = 16384
"""Frames looked at, over all clips: enough for two digits, few enough for seconds."""


@dataclass(frozen=True)
class ChannelStatistics:
    """What each channel of latents is like; all `(c,)`, float64 on the CPU.

    Attributes:
        mean: Mean.
        std: Standard deviation.
        low: Lowest value.
        high: Highest value.
        kurtosis: Mean fourth power of the standardised values; 3 for normal noise, NaN where the
            channel is constant.
    """

    mean: Tensor
    std: Tensor
    low: Tensor
    high: Tensor
    kurtosis: Tensor

    @property
    def rms(self) -> float:
        """Root of the mean square over all channels: what the noise must hide."""
        return float((self.std.square() + self.mean.square()).mean().sqrt())

    @property
    def overall_std(self) -> float:
        """Standard deviation over all channels, each about its own mean."""
        return float(self.std.square().mean().sqrt())


def few_frames(z: Tensor) -> Tensor:
    """Return latents `(b, c, t)` in float64 on the CPU, the clips cropped to `MAX_FRAMES` in all.

    Raises:
        ValueError: If they are not latents `(b, c, t)` of at least one frame.
    """
    if z.ndim != 3 or z.numel() == 0:
        raise ValueError(
            f"latents must be (b, c, t) with at least one frame of one clip, got {tuple(z.shape)}"
        )
    frames = max(1, MAX_FRAMES // len(z))
    return z[:MAX_FRAMES, :, :frames].detach().to("cpu", torch.float64)


def in_rows(z: Tensor) -> Tensor:
    """Return latents `(b, c, t)` as `(c, b t)`."""
    return z.transpose(0, 1).flatten(1)


def channel_statistics(z: Tensor) -> ChannelStatistics:
    """Return the statistics of each channel of latents `(b, c, t)`.

    Raises:
        ValueError: If they are not latents `(b, c, t)` of at least one frame.
    """
    rows = in_rows(few_frames(z))
    mean, std = rows.mean(1), rows.std(1, correction=0)
    standard = (rows - mean[:, None]) / std[:, None]
    return ChannelStatistics(mean, std, rows.amin(1), rows.amax(1), standard.pow(4).mean(1))


def correlations(rows: Tensor) -> Tensor:
    """Return the correlations `(c, c)` of rows `(c, n)`, their diagonal and constant rows 0."""
    centred = rows - rows.mean(1, keepdim=True)
    size = centred.norm(dim=1)
    size = torch.where(size > 0, size, torch.full_like(size, torch.inf))
    standard = centred / size[:, None]
    found = standard @ standard.T
    return found.fill_diagonal_(0.0)


def ranks(rows: Tensor) -> Tensor:
    """Return the rank of each value within its row `(c, n)`: blind to a few huge values."""
    return rows.argsort(1).argsort(1).to(rows.dtype)


def decibels(ratio: float) -> float:
    """Return a ratio of amplitudes in dB, held in -200..200."""
    log = torch.tensor(max(ratio, 1e-10), dtype=torch.float64).log10()
    return min(20 * float(log), 200.0)
