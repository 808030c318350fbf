"""The noise levels of EDM: many steps where there is little noise."""

from __future__ import annotations

from math import inf, log

import torch
from torch import Tensor

from audio_diffusion_pytorch.protocols import NoiseSchedule

from .base import Schedule, check_num_steps, falling, times_at


class KarrasSchedule(Schedule):
    """Noise levels whose `rho`-th roots fall in equal steps, then 0.

    A level is the noise-to-signal ratio `sigma / alpha`: the deviation of the noise beside an
    unscaled signal. With a `noise_schedule` the grid gives times, as every other grid does:
    `num_steps` of them, the last one 0 (clean). Without, it does what it did in releases 0.0.x:
    it gives the levels themselves, `num_steps` of them and a 0, so `num_steps + 1` values.

    Args:
        sigma_min: Lowest level above clean; above 0.
        sigma_max: Highest level; above `sigma_min`.
        rho: Above 0; higher spends more steps on little noise.
        noise_schedule: What the times mean; None gives levels.

    Raises:
        ValueError: If not `0 < sigma_min < sigma_max`, or `sigma_max` is beyond the noisiest level
            of the schedule; on a call, if there are no steps.

    Source: Karras et al. 2022, "EDM", arXiv 2206.00364, eq. 5.
    """

    def __init__(
        self,
        sigma_min: float,
        sigma_max: float,
        rho: float = 7.0,
        noise_schedule: NoiseSchedule | None = None,
    ) -> None:
        super().__init__()
        if not (0 < sigma_min < sigma_max < inf and 0 < rho < inf):
            raise ValueError(
                "KarrasSchedule needs 0 < sigma_min < sigma_max and rho > 0, got "
                f"sigma_min={sigma_min}, sigma_max={sigma_max} and rho={rho}"
            )
        self.sigma_min, self.sigma_max, self.rho = sigma_min, sigma_max, rho
        self.noise_schedule = noise_schedule
        if noise_schedule is not None:
            times_at(noise_schedule, torch.tensor([-2 * log(sigma_max)], dtype=torch.float64))

    def forward(self, num_steps: int, device: torch.device | str = "cpu") -> Tensor:
        """Return falling times `(num_steps,)`, or without a noise schedule `(num_steps + 1,)`."""
        check_num_steps(num_steps)
        if self.noise_schedule is None:
            levels = self._levels(torch.arange(num_steps, device=device, dtype=torch.float32))
            return torch.cat([levels, levels.new_zeros(1)])
        levels = self._levels(torch.arange(max(num_steps - 1, 1), dtype=torch.float64))
        times = times_at(self.noise_schedule, -2 * levels.log())
        return falling(torch.cat([times, times.new_zeros(1)])[:num_steps], device)

    def _levels(self, steps: Tensor) -> Tensor:
        root = 1 / self.rho
        share = steps / max(len(steps) - 1, 1)
        top, bottom = self.sigma_max**root, self.sigma_min**root
        levels: Tensor = (top + share * (bottom - top)) ** self.rho
        return levels
