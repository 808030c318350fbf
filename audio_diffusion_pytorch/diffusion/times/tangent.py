"""Even times of the half circle, said as sigmas."""

from __future__ import annotations

from math import atan, pi

import torch
from torch import Generator, Tensor

from audio_diffusion_pytorch.ops.classes import refuse_class
from audio_diffusion_pytorch.protocols import NoiseSchedule, TimeSampler

from .distribution import Distribution, UniformDistribution


class VKDistribution(Distribution):
    """Noise-to-signal ratios `sigma_data tan(pi u / 2)` with `u` even: upstream 0.0.x's name.

    With `sigma_data` 1 these are the ratios of `HalfCircle` at even times, so `VKDiffusion` with
    it trains as `VDiffusion` does. (0.0.x drew `u` from a normal, which gave negative ratios; here
    it is even, as in the source.)

    Args:
        min_value: Lowest ratio, 0 (clean) or above.
        max_value: Highest ratio.
        sigma_data: Standard deviation of the data.
        noise_schedule: Turns ratios into times; without, ratios are returned.
        draws: Gives the even draws in 0..1, such as `Stratified()`; default independent.

    Raises:
        ValueError: If the values are not `0 <= min_value < max_value` or `sigma_data` is not
            above 0, or a class is given for an object.

    Source: Salimans and Ho 2022, arXiv 2202.00512, the cosine schedule in terms of `sigma / alpha`.
    """

    def __init__(
        self,
        min_value: float = 0.0,
        max_value: float = float("inf"),
        sigma_data: float = 1.0,
        noise_schedule: NoiseSchedule | None = None,
        draws: TimeSampler | None = None,
    ) -> None:
        if not 0 <= min_value < max_value or not sigma_data > 0:
            raise ValueError(
                "VKDistribution needs 0 <= min_value < max_value and sigma_data above 0, got "
                f"{min_value:g}, {max_value:g} and {sigma_data:g}"
            )
        self.min_value, self.max_value, self.sigma_data = min_value, max_value, sigma_data
        refuse_class("noise_schedule", noise_schedule)
        refuse_class("draws", draws)
        self.noise_schedule = noise_schedule
        self.draws: TimeSampler = UniformDistribution() if draws is None else draws

    def __call__(
        self,
        num_samples: int,
        device: torch.device | str = "cpu",
        generator: Generator | None = None,
    ) -> Tensor:
        """Return sigmas `(num_samples,)`, or times in 0..1 where there is a noise schedule."""
        low, high = (atan(v / self.sigma_data) * 2 / pi for v in (self.min_value, self.max_value))
        even = (high - low) * self.draws(num_samples, torch.device(device), generator) + low
        # The tangent turns negative if pi / 2 is rounded up or an even draw is exactly 1.
        sigmas = torch.tan(even.clamp(max=1 - 2.0**-23) * (pi / 2)) * self.sigma_data
        if self.noise_schedule is None:
            return sigmas
        return self.noise_schedule.time_at(-2 * sigmas.log()).clamp(0, 1)
