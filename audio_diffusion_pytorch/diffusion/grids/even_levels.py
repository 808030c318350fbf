"""The default grid: the same noise levels whatever the noise schedule, the straight path's own."""

from __future__ import annotations

import torch
from torch import Tensor

from audio_diffusion_pytorch.diffusion.noise_schedules import InputScaled, Shifted
from audio_diffusion_pytorch.protocols import NoiseSchedule

from .base import Schedule, check_num_steps, falling

_NEARLY_ONE = 1 - 2.0**-20  # 16 steps of float32 below 1
_ENOUGH = 1000.0  # noise over signal; a schedule that cannot tell such levels apart starts lower


class EvenLevels(Schedule):
    """Times at which the share of noise, `sigma / (alpha + sigma)`, falls in equal steps to 0.

    On the straight path of flow methods these are the even times of `LinearSchedule`, on any other
    schedule the times with the same noise levels. So a method that was trained with few of its
    times near the clean end, or near pure noise, is still sampled evenly; and the same number of
    steps does the same for every method. What `Shifted` and `InputScaled` move on purpose stays
    moved: there they are the times of the schedule that was shifted.

    Args:
        noise_schedule: What the times mean.
        start: Share of the noisiest level to start from, 1 by default; below 1 to keep the outlines
            of an `init`, as far for one method as for another.

    Raises:
        ValueError: If `start` is not above 0 and at most 1; on a call, if there are no steps, or
            so many that float32 times cannot tell them apart.

    Source: Liu et al. 2022, arXiv 2209.03003, whose even times these are.
    """

    def __init__(self, noise_schedule: NoiseSchedule, start: float = 1.0) -> None:
        super().__init__()
        if not 0 < start <= 1:
            raise ValueError(f"start must be above 0 (clean) and at most 1 (noise), got {start}")
        self.noise_schedule, self.start = noise_schedule, start
        self._levels = noise_schedule
        while isinstance(self._levels, Shifted | InputScaled):
            self._levels = self._levels.base

    def forward(self, num_steps: int, device: torch.device | str = "cpu") -> Tensor:
        """Return falling times `(num_steps,)` on `device`, the last one 0."""
        check_num_steps(num_steps)
        noisiest, share = self._top()
        shares = torch.linspace(self.start, 0, num_steps, dtype=torch.float64) * share
        log_snr = 2 * (torch.log1p(-shares) - shares.log())
        times = self._levels.time_at(log_snr)
        times = torch.where(shares == 0, torch.zeros_like(times), times)
        times = torch.where(shares == share, torch.full_like(times, noisiest), times)
        return falling(times, device)

    def _top(self) -> tuple[float, float]:
        """Return the time of the noisiest level that a walk can start from, and its noise share."""
        ends = torch.tensor([1.0, _NEARLY_ONE], dtype=torch.float64)
        alpha, sigma = self._levels.alpha_sigma(ends)
        unresolved = float(alpha[0]) <= 0 and float(sigma[1] / alpha[1]) < _ENOUGH
        share = (sigma / (alpha + sigma))[int(unresolved)]
        return float(ends[int(unresolved)]), float(share)
