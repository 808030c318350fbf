"""How signal and noise are mixed at each time: `x_t = alpha x0 + sigma noise`."""

from __future__ import annotations

from math import pi

import torch
from torch import Tensor


class HalfCircle:
    """Signal and noise trade places on a quarter of the unit circle; variance stays one.

    `alpha = cos(pi t / 2)`, `sigma = sin(pi t / 2)`, times 0 (clean) to 1 (noise).

    Source: Salimans and Ho 2022, arXiv 2202.00512, section 2 and appendix D.
    """

    def alpha_sigma(self, time: Tensor) -> tuple[Tensor, Tensor]:
        """Return `(alpha, sigma)` of the shape of `time`."""
        angle = time * (pi / 2)
        return torch.cos(angle), torch.sin(angle)

    def log_snr(self, time: Tensor) -> Tensor:
        """Return `-2 log tan(pi t / 2)` in nats; infinite at times 0 and 1."""
        return -2 * torch.log(torch.tan(time * (pi / 2)))

    def time_at(self, log_snr: Tensor) -> Tensor:
        """Return `2 / pi atan(exp(-log_snr / 2))`."""
        return torch.atan(torch.exp(-log_snr / 2)) * (2 / pi)
