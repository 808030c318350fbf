"""Times in equal steps of log-SNR: the grid of the exponential solvers."""

from __future__ import annotations

from math import isfinite

import torch
from torch import Tensor

from audio_diffusion_pytorch.protocols import NoiseSchedule

from .base import Schedule, check_num_steps, falling, level_at, times_at

NOISIEST, CLEANEST = -10.0, 10.0
LATEST = 1 - 2.0**-18
"""Closer to 1, a thousand steps are no longer told apart in float32 (it matters for `Laplace`)."""


class ExponentialSchedule(Schedule):
    """Times even in log-SNR from `low` to `high`, then 0 (clean): `num_steps` times in all.

    The ratio of noise to signal shrinks by the same factor at each step, which is what exponential
    solvers (DPM-Solver++, UniPC) are most exact on. Pure noise and a clean signal are infinitely
    far on this scale: the walk starts a little short of the one and ends with a jump to the other.

    Args:
        noise_schedule: What the times mean.
        low: Log-SNR of the first time, nats. Default -10 (noise 148 times the signal), or the
            noisiest level the schedule has (or that float32 times near 1 still tell apart).
        high: Log-SNR of the last time before 0, nats. Default 10: noise 43 dB below the signal,
            which the last step removes at once.

    Raises:
        ValueError: If `low` (the default too) is not below `high`, or is below the noisiest level
            of the schedule, or one is infinite; on a call, if there are no steps.

    Source: Lu et al. 2022, "DPM-Solver", arXiv 2206.00927 ("uniform logSNR"); a range near that of
    Karras et al. 2022, arXiv 2206.00364, relative to the deviation of the data.
    """

    def __init__(
        self,
        noise_schedule: NoiseSchedule,
        low: float | None = None,
        high: float = CLEANEST,
    ) -> None:
        super().__init__()
        if low is None:
            end = level_at(noise_schedule)
            low = max(NOISIEST, end if isfinite(end) else level_at(noise_schedule, LATEST))
            if isfinite(high) and not low < high:
                raise ValueError(
                    f"this grid on {noise_schedule} begins at a log-SNR of {low:.4g}, got "
                    f"high={high:.4g}, which is no cleaner: pass a higher high"
                )
        if not (isfinite(low) and isfinite(high) and low < high):
            raise ValueError(
                "ExponentialSchedule needs a finite low below a finite high log-SNR, got "
                f"low={low:.4g} and high={high:.4g}"
            )
        self.noise_schedule, self.low, self.high = noise_schedule, low, high
        times_at(noise_schedule, torch.tensor([low], dtype=torch.float64))

    def forward(self, num_steps: int, device: torch.device | str = "cpu") -> Tensor:
        """Return falling times `(num_steps,)` on `device`."""
        check_num_steps(num_steps)
        levels = torch.linspace(self.low, self.high, max(num_steps - 1, 1), dtype=torch.float64)
        times = times_at(self.noise_schedule, levels)
        return falling(torch.cat([times, times.new_zeros(1)])[:num_steps], device)
