"""Another grid, with more of its steps where there is much noise."""

from __future__ import annotations

from math import inf, log

import torch
from torch import Tensor

from audio_diffusion_pytorch.protocols import Grid, NoiseSchedule

from .base import Schedule, check_num_steps, falling, level_at
from .linear import LinearSchedule


class ShiftedSchedule(Schedule):
    """The times of a grid, moved to where the noise-to-signal ratio is `factor` times as large.

    On the straight path this is `t' = factor t / (1 + (factor - 1) t)`, the time shift of
    Stable Diffusion 3 and its kin. The ends stay: time 0 is clean, and time 1 is the noisiest level
    also of a schedule that leaves some signal there; then a ratio r at most R becomes
    `factor r / (1 + (factor - 1) r / R)`.

    Args:
        factor: Above 1 walks longer through much noise (long or high-rate signals: the root of
            length over the length that needs no shift), below 1 through little; above 0.
        noise_schedule: What the times mean; None means the straight path.
        grid: The times to move; default `LinearSchedule()`.

    Raises:
        ValueError: If the factor is not above 0; on a call, if there are no steps.

    Source: Esser et al. 2024, arXiv 2403.03206, eq. 23.
    """

    def __init__(
        self,
        factor: float = 3.0,
        noise_schedule: NoiseSchedule | None = None,
        grid: Grid | None = None,
    ) -> None:
        super().__init__()
        if not 0 < factor < inf:
            raise ValueError(f"ShiftedSchedule needs a factor above 0, got {factor}")
        self.factor = factor
        self.noise_schedule = noise_schedule
        self.grid: Grid = LinearSchedule() if grid is None else grid

    def forward(self, num_steps: int, device: torch.device | str = "cpu") -> Tensor:
        """Return falling times `(num_steps,)` on `device`."""
        check_num_steps(num_steps)
        times = self.grid(num_steps, torch.device("cpu")).double()
        return falling(self._moved(times), device)

    def _moved(self, times: Tensor) -> Tensor:
        if self.noise_schedule is None:
            return self.factor * times / (1 + (self.factor - 1) * times)
        log_snr = self.noise_schedule.log_snr(times)
        share = torch.exp((level_at(self.noise_schedule) - log_snr) / 2)  # r / R, 0..1
        log_snr = log_snr - 2 * log(self.factor) + 2 * torch.log1p((self.factor - 1) * share)
        moved = self.noise_schedule.time_at(log_snr)
        return torch.where((times <= 0) | (times >= 1), times, moved)
