"""The curves a schedule's `(alpha, sigma)` can run along, as functions of the log-SNR alone.

Which curve it is only rescales the noisy signal; the log-SNR says how noisy it is.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from audio_diffusion_pytorch.protocols import NoiseSchedule


class OnCircle:
    """Schedules with `alpha^2 + sigma^2 = 1`: unit-variance data keep unit variance."""

    def gains(self, log_snr: Tensor) -> tuple[Tensor, Tensor]:
        """Return `(alpha, sigma)` with this log-SNR, also beyond the noisiest level."""
        return torch.exp(logsigmoid(log_snr) / 2), torch.exp(logsigmoid(-log_snr) / 2)


class OnLine:
    """Schedules with `alpha + sigma = 1`: straight lines from the clean signal to the noise."""

    def gains(self, log_snr: Tensor) -> tuple[Tensor, Tensor]:
        """Return `(alpha, sigma)` with this log-SNR, also beyond the noisiest level."""
        return torch.sigmoid(log_snr / 2), torch.sigmoid(-log_snr / 2)


class Exploding:
    """Schedules with `alpha = 1`: noise is added and the signal left as it is."""

    def gains(self, log_snr: Tensor) -> tuple[Tensor, Tensor]:
        """Return `(alpha, sigma)` with this log-SNR, also beyond the noisiest level."""
        return torch.ones_like(log_snr), torch.exp(-log_snr / 2)


def gains_at(schedule: NoiseSchedule, log_snr: Tensor) -> tuple[Tensor, Tensor]:
    """Return `(alpha, sigma)` with this log-SNR on the curve of a schedule.

    A schedule without `gains` is asked by its times; levels beyond its noisiest then keep the
    `alpha^2 + sigma^2` of that one.
    """
    own = getattr(schedule, "gains", None)
    if own is not None:
        levels: tuple[Tensor, Tensor] = own(log_snr)
        return levels
    size = torch.hypot(*schedule.alpha_sigma(schedule.time_at(log_snr)))
    alpha, sigma = OnCircle().gains(log_snr)
    return size * alpha, size * sigma
