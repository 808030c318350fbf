"""What the grids share: their base, and the checks that make them walkable."""

from __future__ import annotations

from math import exp

import torch
from torch import Tensor, nn

from audio_diffusion_pytorch.diffusion.checks import check_whole
from audio_diffusion_pytorch.protocols import NoiseSchedule
from audio_diffusion_pytorch.serialization import Recorded

ROUNDING = 1e-6
"""How far beyond its noisiest level, in nats of log-SNR, a schedule may be asked by rounding."""


class Schedule(Recorded, nn.Module):
    """Base of the grids: subclass it and give `forward(num_steps, device)`."""

    def forward(self, num_steps: int, device: torch.device) -> Tensor:
        """Return falling times `(num_steps,)`."""
        del num_steps, device
        raise TypeError(f"{type(self).__name__} must define forward(num_steps, device)")


def check_num_steps(num_steps: int) -> None:
    """Refuse an empty grid.

    Raises:
        ValueError: If there would be no time, or the number is not whole.
    """
    check_whole("num_steps", num_steps)
    if num_steps < 1:
        raise ValueError(f"a grid needs at least 1 time, got num_steps={num_steps}")


def level_at(schedule: NoiseSchedule, time: float = 1.0) -> float:
    """Return the log-SNR at a time, nats; at time 1, -inf where no signal is left."""
    return float(schedule.log_snr(torch.tensor([time], dtype=torch.float64)))


def times_at(schedule: NoiseSchedule, log_snr: Tensor) -> Tensor:
    """Return the times of these log-SNRs `(n,)`, float64.

    Raises:
        ValueError: If one is noisier than the schedule ever is.
    """
    end = level_at(schedule)
    outside = [level for level in log_snr.tolist() if not level >= end - ROUNDING]
    if outside:
        asked = ", ".join(f"{level:.4g} (sigma {_sigma(level):.4g})" for level in outside[:3])
        raise ValueError(
            f"{schedule} has no log-SNR below {end:.4g} (sigma / alpha {_sigma(end):.4g}), got "
            f"{asked}{', ...' if len(outside) > 3 else ''}: leave these levels out or start lower"
        )
    return schedule.time_at(log_snr)


def falling(times: Tensor, device: torch.device | str) -> Tensor:
    """Return exact times as they are walked: in torch's default type, on `device`.

    Raises:
        ValueError: If two of them are the same after rounding.
    """
    rounded = times.to(torch.get_default_dtype())
    stuck = (rounded.diff() >= 0).nonzero()
    if len(stuck):
        raise ValueError(
            f"{len(times)} times are too many for this grid: two of them round to "
            f"{float(rounded[int(stuck[0])]):.9g}; use fewer steps or a narrower range of levels"
        )
    return rounded.to(device)


def _sigma(log_snr: float) -> float:
    return exp(min(-log_snr / 2, 700.0))
