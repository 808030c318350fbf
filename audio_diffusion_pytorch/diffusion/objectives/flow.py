"""Rectified flow: the network says the way from the signal to the noise."""

from __future__ import annotations

from torch import nn

from audio_diffusion_pytorch.diffusion.coupling import Coupling
from audio_diffusion_pytorch.diffusion.noise_schedules import StraightPath
from audio_diffusion_pytorch.diffusion.parameterizations import FlowPrediction
from audio_diffusion_pytorch.protocols import LossWeight, NoiseSchedule, TimeSampler

from .gaussian import GaussianDiffusion, LossFunction


class FlowDiffusion(GaussianDiffusion):
    """Rectified flow, also called flow matching: `noise - x0` on the straight path.

    Args:
        net: Any `Net`.
        times: Draws the training times; default uniform over 0..1. `LogitNormal()` spends more of
            them in the middle levels.
        coupling: Chooses which noise meets which signal, such as `OptimalTransport()`; default by
            chance.
        weight: Weighs the loss of each item by its level.
        loss_fn: `(prediction, target) -> scalar` in place of the mean squared error.
        schedule: A straight path run through at another pace, such as
            `Shifted(StraightPath(), -2.0)`; default `StraightPath()`.

    Source: Liu et al. 2022, arXiv 2209.03003, eq. 1; Lipman et al. 2022, arXiv 2210.02747.
    """

    def __init__(
        self,
        net: nn.Module,
        times: TimeSampler | None = None,
        coupling: Coupling | None = None,
        *,
        weight: LossWeight | None = None,
        loss_fn: LossFunction | None = None,
        schedule: NoiseSchedule | None = None,
    ) -> None:
        super().__init__(
            net,
            StraightPath() if schedule is None else schedule,
            FlowPrediction(),
            times,
            weight,
            loss_fn=loss_fn,
            coupling=coupling,
        )
