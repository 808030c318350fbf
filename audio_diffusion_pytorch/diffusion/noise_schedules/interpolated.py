"""A schedule that changes from one to another on the way from signal to noise."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

import torch
from torch import Tensor

from audio_diffusion_pytorch.ops.classes import refuse_class
from audio_diffusion_pytorch.protocols import NoiseSchedule

from .paths import gains_at

_CHECKED = 4096  # even times at which the level is seen to fall


@dataclass(frozen=True)
class Interpolated:
    """The log-SNR of one schedule near the clean end and of another near the noisy one.

    `log_snr(t) = (1 - t) early.log_snr(t) + t late.log_snr(t)`, on the curve of `early`.

    A long signal needs a noisier schedule for what is heard over its whole length than for its
    details. `Shifted` moves both; here the shift fades. From the shift of d values to that of D:
    `Interpolated(Shifted.for_length(base, length, d), Shifted.for_length(base, length, D))`.

    Args:
        early: What it is at time 0, where the signal is nearly clean.
        late: What it becomes at time 1, also as to how much signal is left there.

    Raises:
        ValueError: If a class is given for a schedule, if the log-SNR would rise somewhere (`late`
            is much cleaner than `early`), or `early` cannot be as noisy as `late` is at time 1.

    Source: Hoogeboom et al. 2023, "simple diffusion", arXiv 2301.11093, section 3.1 (interpolated
    schedules).
    """

    early: NoiseSchedule
    late: NoiseSchedule

    def __post_init__(self) -> None:
        refuse_class("early", self.early)
        refuse_class("late", self.late)
        time = torch.linspace(0, 1, _CHECKED + 1, dtype=torch.float64)
        fall = self.log_snr(time).diff()
        if not bool((fall < 0).all()):
            where = float(time[int((~(fall < 0)).int().argmax())])
            raise ValueError(
                "Interpolated needs a log-SNR that falls from time 0 to 1, got one that rises at "
                f"{where:.3g}: make late noisier, or early cleaner"
            )
        if not all(bool(part.isfinite()) for part in self.alpha_sigma(time[-1])):
            raise ValueError(
                "Interpolated runs along the curve of early, which is never as noisy as late is at "
                f"time 1, got {self.early} and {self.late}: use schedules of one curve"
            )

    def alpha_sigma(self, time: Tensor) -> tuple[Tensor, Tensor]:
        """Return `(alpha, sigma)` of the shape of `time`."""
        return self.gains(self.log_snr(time))

    def log_snr(self, time: Tensor) -> Tensor:
        """Return the log-SNR in nats; infinite at time 0, that of `late` at time 1."""
        early, late = self.early.log_snr(time), self.late.log_snr(time)
        # Levels run away as logarithms, so at either end the schedule of weight 0 counts nothing.
        between = ((1 - time) * early + time * late).masked_fill(time <= 0, inf)
        return torch.where(time >= 1, late, between)

    @torch.no_grad()
    def time_at(self, log_snr: Tensor) -> Tensor:
        """Return the time with this log-SNR, by bisection; gradients do not pass."""
        low, high = self.early.time_at(log_snr), self.late.time_at(log_snr)
        low, high = torch.minimum(low, high), torch.maximum(low, high)
        # At the first of these times neither schedule is below the level, at the last none above.
        halvings = 2 + round(-torch.tensor(torch.finfo(low.dtype).eps).log2().item())
        for _ in range(halvings):
            middle = (low + high) / 2
            cleaner = self.log_snr(middle) > log_snr
            low, high = torch.where(cleaner, middle, low), torch.where(cleaner, high, middle)
        return (low + high) / 2

    def gains(self, log_snr: Tensor) -> tuple[Tensor, Tensor]:
        """Return `(alpha, sigma)` with this log-SNR on the curve of `early`."""
        return gains_at(self.early, log_snr)
