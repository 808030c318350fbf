"""Noise let in at a rate that rises linearly: the variance-preserving SDE."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from .paths import OnCircle


@dataclass(frozen=True)
class LinearBeta(OnCircle):
    """The limit of infinitely many DDPM steps with linear betas; variance stays one.

    `alpha^2 = exp(-B)`, `sigma^2 = 1 - exp(-B)` with the noise let in up to time t,
    `B = beta_min t + (beta_max - beta_min) t^2 / 2`. At time 1 a little signal is left: with the
    defaults the log-SNR there is -10.05 nats (-43.6 dB).

    Args:
        beta_min: Rate at time 0, above 0; `steps` times the first beta of the discrete schedule.
        beta_max: Rate at time 1, at least `beta_min`; `steps` times the last beta.

    Raises:
        ValueError: If not `0 < beta_min <= beta_max`.

    Source: Song et al. 2020, arXiv 2011.13456, eq. 32 and 33 in appendix C.
    """

    beta_min: float = 0.1
    beta_max: float = 20.0

    def __post_init__(self) -> None:
        if not 0 < self.beta_min <= self.beta_max < inf:
            raise ValueError(
                "LinearBeta needs 0 < beta_min <= beta_max, got "
                f"beta_min={self.beta_min} and beta_max={self.beta_max}"
            )

    def alpha_sigma(self, time: Tensor) -> tuple[Tensor, Tensor]:
        """Return `(alpha, sigma)` of the shape of `time`."""
        gathered = self._gathered(time)
        return torch.exp(-gathered / 2), torch.sqrt(-torch.expm1(-gathered))

    def log_snr(self, time: Tensor) -> Tensor:
        """Return `-log(exp(B) - 1)` in nats; infinite at time 0."""
        gathered = self._gathered(time)
        return -gathered - torch.log(-torch.expm1(-gathered))

    def time_at(self, log_snr: Tensor) -> Tensor:
        """Return the time with this log-SNR; 1 for levels below that of time 1."""
        # B = log(1 + exp(-log_snr)); then the root of its quadratic that loses no digits.
        gathered = logsigmoid(log_snr).abs().clamp(max=(self.beta_min + self.beta_max) / 2)
        rise = 2 * (self.beta_max - self.beta_min)
        time = 2 * gathered / (self.beta_min + torch.sqrt(self.beta_min**2 + rise * gathered))
        return time.clamp(max=1.0)

    def _gathered(self, time: Tensor) -> Tensor:
        return time * (self.beta_min + time * ((self.beta_max - self.beta_min) / 2))
