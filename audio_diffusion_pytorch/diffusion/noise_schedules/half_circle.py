"""A quarter turn from signal to noise: the schedule of v-diffusion."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, pi

import torch
from torch import Tensor

from .paths import OnCircle


@dataclass(frozen=True)
class HalfCircle(OnCircle):
    """Signal and noise trade places on a quarter of the unit circle; variance stays one.

    `alpha = cos(pi t / 2)`, `sigma = sin(pi t / 2)`, times 0 (clean) to 1 (noise only).

    Source: Salimans and Ho 2022, arXiv 2202.00512, section 2 and appendix D.
    """

    def alpha_sigma(self, time: Tensor) -> tuple[Tensor, Tensor]:
        """Return `(alpha, sigma)` of the shape of `time`."""
        angle = time * (pi / 2)
        # A rounded pi / 2 has a cosine of -4e-8 in float32: at time 1 there is no signal at all.
        return torch.cos(angle).masked_fill(time >= 1, 0.0), torch.sin(angle)

    def log_snr(self, time: Tensor) -> Tensor:
        """Return `-2 log tan(pi t / 2)` in nats; infinite at times 0 and 1."""
        return (-2 * torch.log(torch.tan(time * (pi / 2)))).masked_fill(time >= 1, -inf)

    def time_at(self, log_snr: Tensor) -> Tensor:
        """Return `2 / pi atan(exp(-log_snr / 2))`."""
        return (torch.atan(torch.exp(-log_snr / 2)) * (2 / pi)).clamp(max=1.0)
