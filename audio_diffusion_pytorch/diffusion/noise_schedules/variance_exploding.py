"""Noise added to a signal that is left as it is: the schedule of EDM."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, log

import torch
from torch import Tensor

from .paths import Exploding


@dataclass(frozen=True)
class VarianceExploding(Exploding):
    """The signal keeps its level, the noise grows to many times that.

    `alpha = 1`, `sigma = sigma_max t^rho`, so that equal steps of time are the steps of Karras et
    al. with `sigma_min = 0`. Sampling starts from noise of deviation `sigma_max`.

    Args:
        sigma_max: Noise at time 1, in the units of the data; many times their deviation.
        rho: Above 0; higher spends more times on little noise.

    Raises:
        ValueError: If an argument is not above 0.

    Source: Karras et al. 2022, "EDM", arXiv 2206.00364, eq. 5.
    """

    sigma_max: float = 80.0
    rho: float = 7.0

    def __post_init__(self) -> None:
        if not (0 < self.sigma_max < inf and 0 < self.rho < inf):
            raise ValueError(
                "VarianceExploding needs sigma_max > 0 and rho > 0, got "
                f"sigma_max={self.sigma_max} and rho={self.rho}"
            )

    def alpha_sigma(self, time: Tensor) -> tuple[Tensor, Tensor]:
        """Return `(alpha, sigma)` of the shape of `time`."""
        return torch.ones_like(time), self.sigma_max * time**self.rho

    def log_snr(self, time: Tensor) -> Tensor:
        """Return `-2 log sigma` in nats; infinite at time 0."""
        return -2 * self.rho * torch.log(time) - 2 * log(self.sigma_max)

    def time_at(self, log_snr: Tensor) -> Tensor:
        """Return the time with this log-SNR; 1 for levels below that of time 1."""
        exponent = (-log_snr / 2 - log(self.sigma_max)) / self.rho
        return torch.exp(exponent.clamp(max=0.0))
