"""What the network is asked to say, as four coefficients: `x0 = c_skip x + c_out F(c_in x)`.

All five hold on every schedule: on the unit circle (`alpha^2 + sigma^2 = 1`), on the straight path
(`alpha + sigma = 1`), with an exploding variance (`alpha = 1`) and between. All coefficients are
finite at every level. `c_in` brings the noisy signal of unit-variance data to unit variance.
"""

from __future__ import annotations

from math import inf

import torch
from torch import Tensor


class EpsilonPrediction:
    """The network says the noise; then `x0 = (x - sigma F) / alpha`.

    Errors grow by `sigma / alpha` towards pure noise. Where no signal is left (`alpha = 0`) the
    noise says nothing about it, and the guess is zero, the mean of centred data.

    Source: Ho et al. 2020, "DDPM", arXiv 2006.11239, eq. 14.
    """

    def coefficients(
        self, time: Tensor, alpha: Tensor, sigma: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return `(1 / alpha, -sigma / alpha, 1 / s, time)` with `s^2 = alpha^2 + sigma^2`."""
        silent = alpha == 0
        c_skip = (1 / alpha.masked_fill(silent, 1.0)).masked_fill(silent, 0.0)
        return c_skip, -sigma * c_skip, 1 / _size(alpha, sigma), time

    def target(self, clean: Tensor, noise: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        """Return the noise."""
        del clean, alpha, sigma
        return noise


class CleanPrediction:
    """The network says the clean signal itself.

    Source: Salimans and Ho 2022, arXiv 2202.00512, section 4.
    """

    def coefficients(
        self, time: Tensor, alpha: Tensor, sigma: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return `(0, 1, 1 / s, time)` with `s^2 = alpha^2 + sigma^2`."""
        return torch.zeros_like(alpha), torch.ones_like(alpha), 1 / _size(alpha, sigma), time

    def target(self, clean: Tensor, noise: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        """Return the clean signal."""
        del noise, alpha, sigma
        return clean


class VPrediction:
    """The network says the velocity `v = (alpha noise - sigma x0) / s`, `s^2 = alpha^2 + sigma^2`.

    On the unit circle `s = 1` and this is the usual velocity. The target has unit variance at
    every level for unit-variance data, and unit weight on the error of `x0` and of the noise
    where each of them is the harder to tell.

    Source: Salimans and Ho 2022, arXiv 2202.00512, section 4: `x0 = alpha x - sigma v`.
    """

    def coefficients(
        self, time: Tensor, alpha: Tensor, sigma: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return `(alpha / s^2, -sigma / s, 1 / s, time)`; on the circle `s` is 1."""
        size = _size(alpha, sigma)
        return alpha / size / size, -sigma / size, 1 / size, time

    def target(self, clean: Tensor, noise: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        """Return `(alpha noise - sigma clean) / s`."""
        size = _size(alpha, sigma)
        return (alpha / size) * noise - (sigma / size) * clean


class FlowPrediction:
    """The network says the direction from the clean signal to the noise, `F = noise - x0`.

    Then `x0 = (x - sigma F) / (alpha + sigma)`; on the straight path the divisor and `c_in` are 1,
    as rectified flow has it: there the input is not brought to unit variance.

    Source: Liu et al. 2022, "Rectified flow", arXiv 2209.03003, eq. 1.
    """

    def coefficients(
        self, time: Tensor, alpha: Tensor, sigma: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return `(c, -sigma c, c, time)` with `c = 1 / (alpha + sigma)`."""
        scale = 1 / _snap(alpha + sigma)
        return scale, -sigma * scale, scale, time

    def target(self, clean: Tensor, noise: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        """Return `noise - clean`."""
        del alpha, sigma
        return noise - clean


class EDMPreconditioning:
    """The mix of signal and noise whose error is amplified least, for data of any deviation.

    With the noise-to-signal ratio `r = sigma / alpha`, the paper's `c_skip`, `c_out` and `c_in`
    act on `x / alpha`; here they act on `x`, and stay finite where `alpha = 0`. On the unit circle
    with `sigma_data = 1` the network says the velocity with the other sign. It is told
    `log(r) / 4`, held in -5..5, in place of the time.

    Args:
        sigma_data: Standard deviation of the data, above 0.

    Raises:
        ValueError: If `sigma_data` is not above 0.

    Source: Karras et al. 2022, "EDM", arXiv 2206.00364, table 1 and appendix B.6.
    """

    def __init__(self, sigma_data: float = 0.5) -> None:
        if not 0 < sigma_data < inf:
            raise ValueError(
                f"sigma_data is the standard deviation of the data, above 0, got {sigma_data}"
            )
        self.sigma_data = sigma_data

    def __repr__(self) -> str:
        return f"EDMPreconditioning(sigma_data={self.sigma_data})"

    def coefficients(
        self, time: Tensor, alpha: Tensor, sigma: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return the paper's four, for `x` in place of `x / alpha`; `c_noise` in -5..5."""
        del time
        scale = 1 / self._size(alpha, sigma)
        level = self.sigma_data * scale
        c_noise = (torch.log(sigma) - torch.log(alpha)) / 4
        return level * alpha * level, sigma * level, scale, c_noise.clamp(-5.0, 5.0)

    def target(self, clean: Tensor, noise: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        """Return `(sigma clean - alpha sigma_data^2 noise) / (sigma_data c)`, of unit variance.

        `c^2 = sigma^2 + alpha^2 sigma_data^2` is the variance of the noisy data.
        """
        scale = 1 / self._size(alpha, sigma)
        return (sigma / self.sigma_data * scale) * clean - (alpha * self.sigma_data * scale) * noise

    def _size(self, alpha: Tensor, sigma: Tensor) -> Tensor:
        return torch.hypot(alpha * self.sigma_data, sigma)


def _size(alpha: Tensor, sigma: Tensor) -> Tensor:
    """Return `sqrt(alpha^2 + sigma^2)`: the deviation of the noisy signal of unit-variance data."""
    return _snap(torch.hypot(alpha, sigma))


def _snap(size: Tensor) -> Tensor:
    """Make 1 of what differs from it by rounding, so that unit schedules are scaled by nothing."""
    return size.masked_fill((size - 1).abs() <= 4 * torch.finfo(size.dtype).eps, 1.0)
