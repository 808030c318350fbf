"""Noise levels gathered around a middle: normal in the logit of the time or the log of sigma."""

from __future__ import annotations

import torch
from torch import Generator, Tensor

from audio_diffusion_pytorch.ops.classes import refuse_class
from audio_diffusion_pytorch.ops.random import check_generator
from audio_diffusion_pytorch.protocols import NoiseSchedule, TimeSampler

from .distribution import Distribution

_SMALLEST = 2.0**-24  # half a step of float32 below 1: the normal quantile stays finite


class _Bell(Distribution):
    """Normal draws with a mean and a deviation."""

    def __init__(self, mean: float, std: float, draws: TimeSampler | None) -> None:
        if not std > 0:
            raise ValueError(f"std must be above 0, got {std:g}: it is the spread of the levels")
        refuse_class("draws", draws)
        self.mean, self.std, self.draws = mean, std, draws

    def _normal(
        self, num_samples: int, device: torch.device | str, generator: Generator | None
    ) -> Tensor:
        device = torch.device(device)
        check_generator(generator, device)
        if self.draws is None:
            normal = torch.randn((num_samples,), device=device, generator=generator)
        else:
            even = self.draws(num_samples, device, generator)
            normal = torch.special.ndtri(even.clamp(_SMALLEST, 1 - _SMALLEST))
        return self.mean + self.std * normal


class LogitNormal(_Bell):
    """Times whose logit is normal: most of them in the middle levels, few at the ends.

    Args:
        mean: Mean of `log(t / (1 - t))`; above 0 leans to noise.
        std: Its standard deviation.
        draws: Gives even draws in 0..1 to take the quantiles of, such as `Stratified()` or
            `Sobol()`; default independent normal draws.

    Raises:
        ValueError: If `std` is not above 0, or a class is given for an object.

    Source: Esser et al. 2024, arXiv 2403.03206, eq. 19.
    """

    def __init__(
        self, mean: float = 0.0, std: float = 1.0, draws: TimeSampler | None = None
    ) -> None:
        super().__init__(mean, std, draws)

    def __call__(
        self,
        num_samples: int,
        device: torch.device | str = "cpu",
        generator: Generator | None = None,
    ) -> Tensor:
        """Return times `(num_samples,)` in 0..1."""
        return torch.sigmoid(self._normal(num_samples, device, generator))


class LogNormalDistribution(_Bell):
    """Levels whose noise-to-signal ratio `sigma / alpha` is log-normal, as EDM draws them.

    Without a noise schedule it returns these ratios (EDM's sigmas, above 0), as it did in upstream
    0.0.x and as `KDiffusion` and `VKDiffusion` want them; with one, the times of that schedule at
    these ratios, for any other objective.

    Args:
        mean: Mean of the log of the ratio.
        std: Its standard deviation.
        noise_schedule: Turns ratios into times; ratios beyond its ends give its ends.
        draws: Gives even draws in 0..1 to take the quantiles of, such as `Stratified()` or
            `Sobol()`; default independent normal draws.

    Raises:
        ValueError: If `std` is not above 0, or a class is given for an object.

    Source: Karras et al. 2022, arXiv 2206.00364, table 1 (training, noise distribution).
    """

    def __init__(
        self,
        mean: float = -1.2,
        std: float = 1.2,
        noise_schedule: NoiseSchedule | None = None,
        draws: TimeSampler | None = None,
    ) -> None:
        super().__init__(mean, std, draws)
        refuse_class("noise_schedule", noise_schedule)
        self.noise_schedule = noise_schedule

    def __call__(
        self,
        num_samples: int,
        device: torch.device | str = "cpu",
        generator: Generator | None = None,
    ) -> Tensor:
        """Return sigmas `(num_samples,)`, or times in 0..1 where there is a noise schedule."""
        log_sigma = self._normal(num_samples, device, generator)
        if self.noise_schedule is None:
            return log_sigma.exp()
        return self.noise_schedule.time_at(-2 * log_sigma).clamp(0, 1)
