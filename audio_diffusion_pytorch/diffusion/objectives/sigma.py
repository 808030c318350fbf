"""The objectives of upstream 0.0.x, which said noise levels as sigmas: `x = x0 + sigma noise`."""

from __future__ import annotations

from typing import Any

import torch
from torch import Generator, Tensor, nn

from audio_diffusion_pytorch.diffusion.coupling import Coupling
from audio_diffusion_pytorch.diffusion.denoiser import denoise
from audio_diffusion_pytorch.diffusion.noise_schedules import HalfCircle, VarianceExploding
from audio_diffusion_pytorch.diffusion.parameterizations import EDMPreconditioning, VPrediction
from audio_diffusion_pytorch.diffusion.thresholding import DynamicThreshold, StaticThreshold
from audio_diffusion_pytorch.diffusion.times import LogNormalDistribution, VKDistribution
from audio_diffusion_pytorch.ops.classes import refuse_class
from audio_diffusion_pytorch.ops.shapes import lift
from audio_diffusion_pytorch.protocols import (
    LossWeight,
    NoiseSchedule,
    Parameterization,
    TimeSampler,
)

from .gaussian import GaussianDiffusion, LossFunction


class _SigmaDiffusion(GaussianDiffusion):
    """Draws sigmas and trains at the times that stand for them."""

    def __init__(
        self,
        net: nn.Module,
        schedule: NoiseSchedule,
        parameterization: Parameterization,
        sigma_distribution: TimeSampler,
        weight: LossWeight | None,
        loss_fn: LossFunction | None,
        coupling: Coupling | None,
    ) -> None:
        refuse_class("sigma_distribution", sigma_distribution)
        name = type(sigma_distribution).__name__
        if getattr(sigma_distribution, "noise_schedule", None) is not None:
            raise ValueError(
                f"{type(self).__name__} wants sigmas, got a {name} that returns times: make it "
                "without noise_schedule"
            )
        super().__init__(
            net,
            schedule,
            parameterization,
            sigma_distribution,
            weight,
            loss_fn=loss_fn,
            coupling=coupling,
        )

    @property
    def sigma_distribution(self) -> TimeSampler:
        """The sampler of training sigmas, by upstream's name."""
        return self.times

    def draw_times(
        self, num_samples: int, device: torch.device, generator: Generator | None
    ) -> Tensor:
        """Draw sigmas and return their times `(num_samples,)`; the noisiest is time 1."""
        return self.sigma_to_t(super().draw_times(num_samples, device, generator))

    def sigma_to_t(self, sigmas: Tensor) -> Tensor:
        """Return the times at which `sigma / alpha` has these values."""
        return self.schedule.time_at(-2 * sigmas.log())

    def t_to_sigma(self, t: Tensor) -> Tensor:
        """Return `sigma / alpha` at these times."""
        alpha, sigma = self.schedule.alpha_sigma(t)
        return sigma / alpha

    def denoise_fn(
        self,
        x_noisy: Tensor,
        sigmas: Tensor | None = None,
        sigma: float | Tensor | None = None,
        **cond: Any,
    ) -> Tensor:
        """Return the guess of the clean signal, as 0.0.x samplers ask for it.

        Args:
            x_noisy: `x0 + sigma noise`, `(b, c, *t)`.
            sigmas: Noise level of each item `(b,)`.
            sigma: One level for all, in place of `sigmas`.
            **cond: Handed to the net.

        Raises:
            ValueError: If not exactly one of `sigmas` and `sigma` is given, or not one per item.
        """
        levels = sigma if sigmas is None else sigmas
        if levels is None or (sigmas is not None and sigma is not None):
            found = "none" if levels is None else "both"
            raise ValueError(f"denoise_fn takes sigmas (b,) or one sigma for all, got {found}")
        exact = torch.promote_types(x_noisy.dtype, torch.float32)
        levels = torch.as_tensor(levels, dtype=exact, device=x_noisy.device)
        if levels.shape not in ((), (1,), (len(x_noisy),)):
            raise ValueError(
                f"sigmas must be ({len(x_noisy)},), one for each item, got {tuple(levels.shape)}"
            )
        return self._guess(x_noisy, levels.expand(len(x_noisy)), **cond)

    def _guess(self, x: Tensor, sigmas: Tensor, **cond: Any) -> Tensor:
        alpha = lift(torch.rsqrt(1 + sigmas.square()), x).to(x.dtype)
        return self.denoise(alpha * x, self.sigma_to_t(sigmas), **cond)


class KDiffusion(_SigmaDiffusion):
    """EDM: noise is added to the signal as it is, and the network is preconditioned for it.

    Upstream 0.0.x's name and arguments over `VarianceExploding` and `EDMPreconditioning`. The loss
    is EDM's: `(sigma^2 + sigma_data^2) / (sigma sigma_data)^2` times the error of the clean signal.
    (0.0.x clipped the guess before it measured, which kept the gradient from any value out of
    range; here only `denoise_fn` clips.)

    Args:
        net: Any `Net`; told `log(sigma) / 4` for a time.
        sigma_distribution: Draws the training sigmas; default `LogNormalDistribution(-1.2, 1.2)`.
        sigma_data: Standard deviation of the data, above 0.
        dynamic_threshold: How `denoise_fn` bounds the guess to -1..1: 0 clips; above 0 the share
            of each item's values that is kept from clipping before it is scaled back. None leaves
            it as it is, which latents need.
        sigma_max: The level of time 1; drawn sigmas above it train at it.
        weight: Weighs the loss further.
        loss_fn: `(prediction, target) -> scalar` in place of the mean squared error on what the
            preconditioned net says.
        coupling: Chooses which noise meets which signal.

    Raises:
        ValueError: If `sigma_data` or `sigma_max` is not above 0, `dynamic_threshold` is outside
            0..1, or `sigma_distribution` returns times.

    Source: Karras et al. 2022, arXiv 2206.00364, table 1.
    """

    def __init__(
        self,
        net: nn.Module,
        sigma_distribution: TimeSampler | None = None,
        sigma_data: float = 0.5,
        dynamic_threshold: float | None = 0.0,
        *,
        sigma_max: float = 80.0,
        weight: LossWeight | None = None,
        loss_fn: LossFunction | None = None,
        coupling: Coupling | None = None,
    ) -> None:
        super().__init__(
            net,
            VarianceExploding(sigma_max),
            EDMPreconditioning(sigma_data),
            LogNormalDistribution() if sigma_distribution is None else sigma_distribution,
            weight,
            loss_fn,
            coupling,
        )
        self.sigma_data, self.dynamic_threshold = sigma_data, dynamic_threshold
        self._threshold: StaticThreshold | DynamicThreshold | None = None
        if dynamic_threshold is not None:
            self._threshold = (
                DynamicThreshold(percentile=dynamic_threshold)
                if dynamic_threshold
                else StaticThreshold()
            )

    def _guess(self, x: Tensor, sigmas: Tensor, **cond: Any) -> Tensor:
        own_time = VarianceExploding(sigma_max=1.0, rho=1.0)  # a sigma is its time, of any size
        clean = denoise(self.predict, own_time, self.parameterization, x, sigmas, **cond)
        return clean if self._threshold is None else self._threshold.bound(clean)


class VKDiffusion(_SigmaDiffusion):
    """Velocity prediction with levels said as sigmas: upstream 0.0.x's name.

    The net, its input and the loss are those of `VDiffusion` at the times
    `2 / pi atan(sigma)`, so either can load the other's weights.

    Args:
        net: Any `Net`; told the time in 0..1.
        sigma_distribution: Draws the training sigmas; default `VKDistribution()`, even times.
        weight: Weighs the loss of each item by its level.
        loss_fn: `(prediction, target) -> scalar` in place of the mean squared error.
        coupling: Chooses which noise meets which signal.

    Raises:
        ValueError: If `sigma_distribution` returns times.

    Source: Salimans and Ho 2022, arXiv 2202.00512.
    """

    def __init__(
        self,
        net: nn.Module,
        sigma_distribution: TimeSampler | None = None,
        *,
        weight: LossWeight | None = None,
        loss_fn: LossFunction | None = None,
        coupling: Coupling | None = None,
    ) -> None:
        super().__init__(
            net,
            HalfCircle(),
            VPrediction(),
            VKDistribution() if sigma_distribution is None else sigma_distribution,
            weight,
            loss_fn,
            coupling,
        )
