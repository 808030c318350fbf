"""Gaussian data: what a solver makes of them is exact to the last digit, without drawing any."""

import pytest
import torch

from audio_diffusion_pytorch.diffusion.grids import (
    EvenLevels,
    ExponentialSchedule,
    KarrasSchedule,
    LinearSchedule,
)
from audio_diffusion_pytorch.diffusion.noise_schedules import (
    DiscreteBetas,
    HalfCircle,
    InputScaled,
    Interpolated,
    Laplace,
    LinearBeta,
    Shifted,
    Sigmoid,
    StraightPath,
    VarianceExploding,
)
from audio_diffusion_pytorch.diffusion.sampler import sample

SCHEDULES = [
    HalfCircle(),
    StraightPath(),
    LinearBeta(),
    DiscreteBetas.linear(),
    DiscreteBetas.scaled_linear(),
    DiscreteBetas.cosine(),
    DiscreteBetas.scaled_linear().with_zero_terminal_snr(),
    Sigmoid(),
    Laplace(),
    VarianceExploding(),
    Shifted(HalfCircle(), -2.0),
    Shifted(StraightPath(), 2.0),
    InputScaled(HalfCircle(), 0.5),
    Interpolated(HalfCircle(), Shifted(HalfCircle(), -2.0)),
]


class PerItem:
    """Item i follows schedule i: many schedules in one walk."""

    def __init__(self, schedules):
        self.schedules = schedules
        self.kept = []  # the end of a step is the start of the next

    def alpha_sigma(self, time):
        for known, gains in self.kept:
            if torch.equal(known, time) and known.dtype == time.dtype:
                return gains
        pairs = [s.alpha_sigma(t) for s, t in zip(self.schedules, time, strict=True)]
        gains = tuple(torch.stack(side) for side in zip(*pairs, strict=True))
        self.kept = [*self.kept[-1:], (time, gains)]
        return gains

    def log_snr(self, time):
        return torch.stack([s.log_snr(t) for s, t in zip(self.schedules, time, strict=True)])

    def time_at(self, log_snr):
        return torch.stack([s.time_at(v) for s, v in zip(self.schedules, log_snr, strict=True)])


class GaussianData:
    """Samples of N(mean, std^2): all that is known of them at any level."""

    def __init__(self, mean, std):
        self.mean, self.std = mean, std

    def marginal(self, schedule, time):
        """Mean and standard deviation of the noisy data, of the shape of `time`."""
        alpha, sigma = schedule.alpha_sigma(time)
        return alpha * self.mean, (alpha**2 * self.std**2 + sigma**2).sqrt()

    def denoiser(self, schedule):
        """The best guess of the clean signal."""
        return self._map(schedule, lambda alpha, spread: alpha * self.std**2 / spread**2)

    def consistency_map(self, schedule):
        """The clean end of the probability-flow ODE."""
        return self._map(schedule, lambda alpha, spread: self.std / spread)

    def _map(self, schedule, slope):
        def guess(x, time):
            alpha, sigma = (v[:, None, None] for v in schedule.alpha_sigma(time))
            spread = (alpha**2 * self.std**2 + sigma**2).sqrt()
            return self.mean + slope(alpha, spread) * (x - alpha * self.mean)

        return guess

    def propagate(self, schedule, times, solver, consistency=False):
        """How far a walk from the exact marginal at `times[0]` is from the one of each level.

        On Gaussian data the guess is affine in x, so the whole walk is affine in the start and in
        each noise that was drawn. Its coefficients are read off by walking positions of which one
        starts at 1 and each other gets noise 1 at one call, all else being 0.

        Args:
            schedule: What the times mean; elementwise over items.
            times: `(n + 1, b)`.
            solver: Makes the steps.
            consistency: Give the solver the consistency map in place of the denoiser.

        Returns:
            The error of the mean in standard deviations and the ratio of the standard deviation to
            the right one, each `(n, b)`.
        """
        steps, items = len(times) - 1, times.shape[1]
        x = torch.zeros(items, 1, 2 + 2 * steps, dtype=torch.float64)
        x[..., 1] = 1
        calls, errors, ratios = [], [], []

        def noise(x, time, next_time):
            drawn = torch.zeros_like(x)
            drawn[..., 2 + len(calls)] = 1
            calls.append(time)
            return drawn

        start_mean, start_std = self.marginal(schedule, times[0])

        def look(state):
            offset = state.x[:, 0, 0]
            of_start, of_noise = state.x[:, 0, 1] - offset, state.x[:, 0, 2:] - offset[:, None]
            variance = (of_start * start_std) ** 2 + (of_noise**2).sum(1)
            mean, std = self.marginal(schedule, state.time)
            errors.append((offset + of_start * start_mean - mean) / std)
            ratios.append(variance.sqrt() / std)

        guess = (self.consistency_map if consistency else self.denoiser)(schedule)
        sample(guess, x, times, solver, schedule, noise=noise, callback=look)
        return torch.stack(errors), torch.stack(ratios)


@pytest.fixture(scope="session")
def schedules():
    """Every noise schedule of the package, with its usual settings."""
    return SCHEDULES


@pytest.fixture(scope="session")
def per_item():
    """Make one schedule of many: item i follows schedule i."""
    return PerItem


@pytest.fixture(scope="session")
def gaussian_data():
    """Make Gaussian data of a mean and a standard deviation."""
    return GaussianData


@pytest.fixture(scope="session")
def sensible_walks():
    """`(schedule, grid)` pairs people use: even times, levels and log-SNRs, EDM's own levels.

    Even times are no grid for `Laplace`, whose own description says so: the first and the last
    step would each cross half of its range.
    """
    walks = [(s, LinearSchedule()) for s in SCHEDULES if not isinstance(s, Laplace)]
    walks += [(s, grid(s)) for s in SCHEDULES for grid in (EvenLevels, ExponentialSchedule)]
    exploding = VarianceExploding()
    return [*walks, (exploding, KarrasSchedule(0.002, 80.0, noise_schedule=exploding))]
