"""Log-SNR with a Laplace distribution: most times near one level."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite

import torch
from torch import Tensor

from .paths import OnCircle


@dataclass(frozen=True)
class Laplace(OnCircle):
    """Under uniform times the log-SNR has a Laplace distribution; variance stays one.

    `log_snr = mean - scale log(2 t)` for `t <= 1/2`, `mean + scale log(2 (1 - t))` above. A
    schedule to train on: with a small scale the first and the last step of an even grid are large,
    so sample on `ExponentialSchedule`.

    Args:
        mean: Log-SNR at time 1/2, nats.
        scale: Mean distance from it, nats, above 0.

    Raises:
        ValueError: If the scale is not above 0.

    Source: Hang et al. 2024, "Improved Noise Schedule for Diffusion Training", arXiv 2407.03297,
    table 1.
    """

    mean: float = 0.0
    scale: float = 0.5

    def __post_init__(self) -> None:
        if not (self.scale > 0 and isfinite(self.scale) and isfinite(self.mean)):
            raise ValueError(
                "Laplace needs a finite mean and a scale above 0, got "
                f"mean={self.mean} and scale={self.scale}"
            )

    def alpha_sigma(self, time: Tensor) -> tuple[Tensor, Tensor]:
        """Return `(alpha, sigma)` of the shape of `time`."""
        return self.gains(self.log_snr(time))

    def log_snr(self, time: Tensor) -> Tensor:
        """Return the log-SNR in nats; infinite at times 0 and 1."""
        early = self.mean - self.scale * torch.log(2 * time)
        late = self.mean + self.scale * torch.log(2 * (1 - time))
        return torch.where(time <= 0.5, early, late)

    def time_at(self, log_snr: Tensor) -> Tensor:
        """Return the time with this log-SNR: the upper tail of the Laplace distribution."""
        distance = (log_snr - self.mean) / self.scale
        tail = torch.exp(-distance.abs()) / 2
        return torch.where(distance >= 0, tail, 1 - tail)
