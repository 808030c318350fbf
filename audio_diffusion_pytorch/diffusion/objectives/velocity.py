"""Velocity prediction on the half circle."""

from __future__ import annotations

import torch.nn.functional as F
from torch import nn

from audio_diffusion_pytorch.diffusion.coupling import Coupling
from audio_diffusion_pytorch.diffusion.parameterizations import VPrediction
from audio_diffusion_pytorch.diffusion.upstream_levels import HalfCircleLevels
from audio_diffusion_pytorch.ops.classes import refuse_class
from audio_diffusion_pytorch.protocols import LossWeight, TimeSampler

from .gaussian import GaussianDiffusion, LossFunction


class VDiffusion(HalfCircleLevels, GaussianDiffusion):
    """Velocity prediction on the half circle, the method of upstream's recipes.

    Args:
        net: Any `Net`.
        sigma_distribution: Draws the training times in 0..1.
        loss_fn: `(prediction, target) -> scalar`; default the mean squared error.
        weight: Weighs the loss of each item by its level.
        coupling: Chooses which noise meets which signal.

    Source: Salimans and Ho 2022, arXiv 2202.00512.
    """

    def __init__(
        self,
        net: nn.Module,
        sigma_distribution: TimeSampler | None = None,
        loss_fn: LossFunction | None = F.mse_loss,
        *,
        weight: LossWeight | None = None,
        coupling: Coupling | None = None,
    ) -> None:
        refuse_class("sigma_distribution", sigma_distribution)
        super().__init__(
            net,
            self._levels(),
            VPrediction(),
            sigma_distribution,
            weight,
            loss_fn=loss_fn,
            coupling=coupling,
        )

    @property
    def sigma_distribution(self) -> TimeSampler:
        """The sampler of training times, by upstream's name."""
        return self.times

    @sigma_distribution.setter
    def sigma_distribution(self, sampler: TimeSampler) -> None:
        self.times = sampler
