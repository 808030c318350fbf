"""`get_alpha_beta`, upstream's word for the levels of its one schedule, where upstream had it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from audio_diffusion_pytorch.protocols import NoiseSchedule

from .noise_schedules import HalfCircle

Levels = Callable[[Tensor], tuple[Tensor, Tensor]]


class HalfCircleLevels:
    """Has the levels of the half circle under upstream's name.

    Code written for upstream calls it in a `forward` of its own. It may also override it, and so
    change what the `forward` here mixes and undoes.
    """

    def get_alpha_beta(self, sigmas: Tensor) -> tuple[Tensor, Tensor]:
        """Return `(alpha, beta)`, how much signal and how much noise there is at these times.

        Args:
            sigmas: Times of any shape, 0 (clean) to 1 (noise).
        """
        return HalfCircle().alpha_sigma(sigmas)

    def _levels(self) -> NoiseSchedule:
        """Return the schedule that `get_alpha_beta` stands for."""
        if type(self).get_alpha_beta is HalfCircleLevels.get_alpha_beta:
            return HalfCircle()
        return _OwnLevels(self.get_alpha_beta)


@dataclass(frozen=True)
class _OwnLevels(HalfCircle):
    """A schedule with the levels of an overridden `get_alpha_beta`, on a circle as upstream's."""

    levels: Levels

    def alpha_sigma(self, time: Tensor) -> tuple[Tensor, Tensor]:
        """Return `(alpha, sigma)` of the shape of `time`."""
        return self.levels(time)

    def log_snr(self, time: Tensor) -> Tensor:
        """Return `2 log(alpha / sigma)` in nats."""
        alpha, sigma = self.levels(time)
        return 2 * torch.log(alpha.clamp_min(0) / sigma)

    def time_at(self, log_snr: Tensor) -> Tensor:
        """Refuse: levels that are only known by their times have no inverse.

        Raises:
            ValueError: Always.
        """
        raise ValueError(
            "an overridden get_alpha_beta says the levels of times, not the time of "
            f"{log_snr.numel()} levels: train with GaussianDiffusion and a NoiseSchedule instead"
        )
