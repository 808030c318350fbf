"""What the network is asked to say, as four coefficients: `x0 = c_skip x + c_out F(c_in x)`."""

from __future__ import annotations

import torch
from torch import Tensor


class VPrediction:
    """The network says the velocity `v = alpha noise - sigma x0`.

    Needs a schedule on the unit circle (`alpha^2 + sigma^2 = 1`), such as `HalfCircle`; then the
    target has unit variance at every level for unit-variance data.

    Source: Salimans and Ho 2022, arXiv 2202.00512, section 4: `x0 = alpha x - sigma v`.
    """

    def coefficients(
        self, time: Tensor, alpha: Tensor, sigma: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return `(alpha, -sigma, 1, time)`."""
        return alpha, -sigma, torch.ones_like(alpha), time

    def target(self, clean: Tensor, noise: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        """Return `alpha noise - sigma clean`."""
        return alpha * noise - sigma * clean
