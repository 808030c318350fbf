"""Data whose perfect denoiser and exact flow are known: what solvers are proven on.

A mixture of Gaussians stays one at every noise level, so the best guess of the clean signal and
the probability-flow map follow from its distribution function, without a network and without a
reference integrator.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt

import torch
from torch import Generator, Tensor

from audio_diffusion_pytorch.ops.random import check_generator
from audio_diffusion_pytorch.ops.shapes import lift
from audio_diffusion_pytorch.protocols import Denoiser, NoiseSchedule


class GaussianMixture:
    """Signals whose every sample is drawn, on its own, from `sum_i weight_i N(mean_i, std_i^2)`.

    Args:
        weights: Probabilities; they sum to 1.
        means: Mean of each part.
        stds: Standard deviation of each part, above 0.

    Raises:
        ValueError: If the lengths differ, a deviation is not above 0 or the weights do not sum
            to 1.

    Source: Bayes' rule for Gaussians; the flow in one dimension is monotone and keeps the
    distribution function, so it maps quantiles to quantiles.
    """

    def __init__(
        self, weights: Sequence[float], means: Sequence[float], stds: Sequence[float]
    ) -> None:
        if not len(weights) == len(means) == len(stds) >= 1:
            raise ValueError(
                "a mixture needs as many weights as means and deviations, got "
                f"{len(weights)}, {len(means)} and {len(stds)}"
            )
        if min(weights) < 0 or abs(sum(weights) - 1) > 1e-9 or min(stds) <= 0:
            raise ValueError(
                "a mixture needs weights >= 0 that sum to 1 and deviations above 0, got weights "
                f"{list(weights)} and deviations {list(stds)}"
            )
        self.weights, self.means, self.stds = tuple(weights), tuple(means), tuple(stds)

    @property
    def mean(self) -> float:
        """Mean of a sample."""
        return sum(p * m for p, m in zip(self.weights, self.means, strict=True))

    @property
    def std(self) -> float:
        """Standard deviation of a sample."""
        parts = zip(self.weights, self.means, self.stds, strict=True)
        return sqrt(sum(p * (m * m + s * s) for p, m, s in parts) - self.mean**2)

    def sample(
        self,
        shape: Sequence[int],
        generator: Generator | None = None,
        dtype: torch.dtype = torch.float64,
    ) -> Tensor:
        """Return clean signals of `shape`, drawn on the CPU."""
        check_generator(generator, torch.device("cpu"))
        draws = torch.rand(tuple(shape), generator=generator, dtype=dtype)
        edges = torch.tensor(self.weights, dtype=dtype).cumsum(0)[:-1]
        part = torch.bucketize(draws, edges)
        noise = torch.randn(tuple(shape), generator=generator, dtype=dtype)
        means, stds = (torch.tensor(v, dtype=dtype) for v in (self.means, self.stds))
        return means[part] + stds[part] * noise

    def denoise(self, x: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        """Return `E[x0 | x]` for `x = alpha x0 + sigma noise`, elementwise.

        `sum_i w_i (mean_i + alpha std_i^2 / var_i (x - alpha mean_i))` with the share `w_i` of
        part i in the density at `x` and `var_i = alpha^2 std_i^2 + sigma^2`.
        """
        shares, guesses = [], []
        for weight, mean, std in zip(self.weights, self.means, self.stds, strict=True):
            variance = alpha**2 * std**2 + sigma**2
            off = x - alpha * mean
            log_weight = torch.tensor(weight, dtype=x.dtype, device=x.device).log()
            shares.append(log_weight - off**2 / (2 * variance) - variance.log() / 2)
            guesses.append(mean + alpha * std**2 / variance * off)
        share = torch.stack(torch.broadcast_tensors(*shares)).softmax(0)
        return (share * torch.stack(torch.broadcast_tensors(*guesses))).sum(0)

    def denoiser(self, schedule: NoiseSchedule) -> Denoiser:
        """Return the perfect `Denoiser (x, time) -> x0` under a schedule."""

        def denoiser(x: Tensor, time: Tensor) -> Tensor:
            time = time.to(torch.promote_types(x.dtype, torch.float32))
            alpha, sigma = (lift(v, x) for v in schedule.alpha_sigma(time))
            return self.denoise(x.to(alpha.dtype), alpha, sigma).to(x.dtype)

        return denoiser

    def flow(self, x: Tensor, schedule: NoiseSchedule, time: Tensor, next_time: Tensor) -> Tensor:
        """Return where the probability-flow ODE carries `x` from `time` to `next_time`, exactly.

        Args:
            x: Signal `(b, c, *t)`, float64 for full precision; within 35 deviations of the data.
            schedule: What the times mean.
            time: Level of `x`, `(b,)`, `(b, 1, *t)` or a scalar.
            next_time: Level to go to, likewise; clean is allowed.
        """
        x = x.double()
        here = [lift(v, x) for v in schedule.alpha_sigma(time.double())]
        there = [lift(v, x) for v in schedule.alpha_sigma(next_time.double())]
        below, above = self._tails(x, *here)
        left = below <= above
        low, high = (torch.full_like(x, v) for v in self._reach(*there))
        for _ in range(110):  # float64 is exhausted after about 70 halvings
            middle = (low + high) / 2
            below_there, above_there = self._tails(middle, *there)
            too_low = torch.where(left, below_there < below, above_there > above)
            low, high = torch.where(too_low, middle, low), torch.where(too_low, high, middle)
        return (low + high) / 2

    def _tails(self, x: Tensor, alpha: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor]:
        """Return the probabilities below and above `x`, each exact where it is small."""
        below, above = torch.zeros_like(x), torch.zeros_like(x)
        for weight, mean, std in zip(self.weights, self.means, self.stds, strict=True):
            z = (x - alpha * mean) / (alpha**2 * std**2 + sigma**2).sqrt()
            below = below + weight / 2 * torch.erfc(-z / sqrt(2))  # ndtr is 0 below -8.3
            above = above + weight / 2 * torch.erfc(z / sqrt(2))
        return below, above

    def _reach(self, alpha: Tensor, sigma: Tensor) -> tuple[float, float]:
        """Return bounds that hold all of the noisy data."""
        alpha_max, sigma_max = float(alpha.abs().max()), float(sigma.max())
        width = 40 * sqrt(alpha_max**2 * max(self.stds) ** 2 + sigma_max**2)
        return alpha_max * min(0.0, *self.means) - width, alpha_max * max(0.0, *self.means) + width


OVERLAPPING = GaussianMixture((0.5, 0.5), (-0.6, 0.6), (0.5, 0.4))
"""Two modes that overlap: smooth enough to read the order of a solver from."""

SEPARATED = GaussianMixture((0.3, 0.4, 0.3), (-1.5, 0.2, 1.4), (0.1, 0.15, 0.1))
"""Three modes apart from one another: hard at few steps."""
