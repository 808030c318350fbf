"""A straight line from signal to noise: the schedule of rectified flow."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .paths import OnLine


@dataclass(frozen=True)
class StraightPath(OnLine):
    """Each sample moves on a straight line from the clean signal to the noise.

    `alpha = 1 - t`, `sigma = t`, times 0 (clean) to 1 (noise only).

    Source: Liu et al. 2022, "Rectified flow", arXiv 2209.03003, eq. 1; Lipman et al. 2022,
    arXiv 2210.02747, eq. 22. Their time runs the other way.
    """

    def alpha_sigma(self, time: Tensor) -> tuple[Tensor, Tensor]:
        """Return `(alpha, sigma)` of the shape of `time`."""
        return 1 - time, time.clone()

    def log_snr(self, time: Tensor) -> Tensor:
        """Return `2 log((1 - t) / t)` in nats; infinite at times 0 and 1."""
        return 2 * (torch.log1p(-time) - torch.log(time))

    def time_at(self, log_snr: Tensor) -> Tensor:
        """Return `1 / (1 + exp(log_snr / 2))`."""
        return torch.sigmoid(-log_snr / 2)
