"""The training half of diffusion: noise a clean batch, ask the network, measure how far off."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import Generator, Tensor, nn

from audio_diffusion_pytorch.ops.random import randn_like
from audio_diffusion_pytorch.protocols import (
    Denoiser,
    LossWeight,
    NoiseSchedule,
    Parameterization,
    TimeSampler,
)

from .denoiser import ask, bind_denoiser, denoise, levels_at
from .noise_schedules import HalfCircle
from .parameterizations import VPrediction
from .times import UniformDistribution

Reduction = Literal["mean", "none"]


class Diffusion(nn.Module):
    """Base of the training objectives."""


class GaussianDiffusion(Diffusion):
    """Any Gaussian diffusion: a schedule says the mix, a parameterization what the net predicts.

    The loss is the mean squared error on what the net says, weighted by noise level.

    Args:
        net: Any `Net`.
        schedule: The `NoiseSchedule`.
        parameterization: What the net says.
        times: Draws the training times; default uniform over 0..1.
        weight: Factor on the loss by log-SNR; default none.
    """

    def __init__(
        self,
        net: nn.Module,
        schedule: NoiseSchedule,
        parameterization: Parameterization,
        times: TimeSampler | None = None,
        weight: LossWeight | None = None,
    ) -> None:
        super().__init__()
        self.net = net
        self.schedule = schedule
        self.parameterization = parameterization
        self.times: TimeSampler = UniformDistribution() if times is None else times
        self.weight = weight

    def denoise(self, x: Tensor, time: Tensor, **cond: Any) -> Tensor:
        """Return the guess of the clean signal for `x (b, c, *t)` at `time (b,)`."""
        return denoise(self.net, self.schedule, self.parameterization, x, time, **cond)

    def denoiser(self, **cond: Any) -> Denoiser:
        """Return the `Denoiser` with this conditioning bound."""
        return bind_denoiser(self.net, self.schedule, self.parameterization, **cond)

    def forward(
        self,
        x: Tensor,
        mask: Tensor | None = None,
        generator: Generator | None = None,
        reduction: Reduction = "mean",
        *,
        times: Tensor | None = None,
        noise: Tensor | None = None,
        **cond: Any,
    ) -> Tensor:
        """Return the loss of a clean batch.

        Args:
            x: Clean signals `(b, c, *t)`, unit variance for best results.
            mask: `(b, 1 | c, *t)`, True (or 1) where the signal is real, False where it is padding.
            generator: For the times and the noise, on the device of `x`.
            reduction: "mean" gives a scalar, "none" the loss of each item `(b,)`.
            times: Fixed times `(b,)` instead of drawn ones.
            noise: Fixed noise of the shape of `x` instead of drawn noise.
            **cond: Handed to the net.

        Raises:
            ValueError: If the batch is empty, or shapes or the generator's device do not fit.
        """
        if x.numel() == 0:
            raise ValueError(f"diffusion needs at least one sample of one item, got {x.shape}")
        if times is None:
            times = self.draw_times(len(x), x.device, generator)
        if noise is None:
            noise = randn_like(x, generator)
        if times.shape[0] != len(x) or noise.shape != x.shape:
            raise ValueError(
                f"times must be ({len(x)},) and noise {tuple(x.shape)} for this batch, got "
                f"{tuple(times.shape)} and {tuple(noise.shape)}"
            )
        alpha, sigma = levels_at(self.schedule, times, x)
        target = self.parameterization.target(x, noise, alpha, sigma)
        noisy = alpha * x + sigma * noise
        prediction, _, _ = ask(self.net, self.schedule, self.parameterization, noisy, times, **cond)
        loss = self.measure(prediction, target, mask)
        if self.weight is not None:
            level = times.reshape(len(x), -1).mean(1)
            loss = loss * self.weight(self.schedule.log_snr(level))
        return loss.mean() if reduction == "mean" else loss

    def draw_times(
        self, num_samples: int, device: torch.device, generator: Generator | None
    ) -> Tensor:
        """Draw training times `(num_samples,)`; samplers that take no generator still work."""
        if generator is None:
            return self.times(num_samples, device)
        return self.times(num_samples, device, generator)

    def measure(self, prediction: Tensor, target: Tensor, mask: Tensor | None) -> Tensor:
        """Return the loss of each item `(b,)`: the mean squared error."""
        return per_item_mse(prediction, target, mask)


def per_item_mse(prediction: Tensor, target: Tensor, mask: Tensor | None = None) -> Tensor:
    """Return the mean squared error of each item `(b,)`, over the unmasked positions only.

    Raises:
        ValueError: If the prediction does not have the shape of the target, or the mask does not
            broadcast to it.
    """
    if prediction.shape != target.shape:
        raise ValueError(
            f"the net must return the shape of its input, {tuple(target.shape)}, got "
            f"{tuple(prediction.shape)}: check in_channels and out_channels"
        )
    error = (prediction - target).square()
    if mask is None:
        return error.flatten(1).mean(1)
    pairs = zip(mask.shape, error.shape, strict=False)
    if mask.ndim != error.ndim or any(size not in (1, wanted) for size, wanted in pairs):
        axes = ", ".join(str(size) for size in (len(error), 1, *error.shape[2:]))
        raise ValueError(
            f"the mask must have shape ({axes}) for this signal of shape {tuple(error.shape)}, got "
            f"{tuple(mask.shape)}: True where it is real, one entry for each position"
        )
    weight = torch.broadcast_to(mask, error.shape).to(error.dtype)
    return (error * weight).flatten(1).sum(1) / weight.flatten(1).sum(1).clamp_min(1)


class VDiffusion(GaussianDiffusion):
    """Velocity prediction on the half circle, the method of upstream's recipes.

    Args:
        net: Any `Net`.
        sigma_distribution: Draws the training times in 0..1.
        loss_fn: `(prediction, target) -> scalar` in place of the mean squared error.

    Source: Salimans and Ho 2022, arXiv 2202.00512.
    """

    def __init__(
        self,
        net: nn.Module,
        sigma_distribution: TimeSampler | None = None,
        loss_fn: Callable[[Tensor, Tensor], Tensor] | None = None,
    ) -> None:
        super().__init__(net, HalfCircle(), VPrediction(), times=sigma_distribution)
        self.loss_fn = loss_fn

    @property
    def sigma_distribution(self) -> TimeSampler:
        """The sampler of training times, by upstream's name."""
        return self.times

    def measure(self, prediction: Tensor, target: Tensor, mask: Tensor | None) -> Tensor:
        """Return the loss of each item `(b,)`, by `loss_fn` where one was given.

        Raises:
            ValueError: If a mask meets a custom `loss_fn`, which could not honour it.
        """
        if self.loss_fn is None:
            return super().measure(prediction, target, mask)
        if mask is not None:
            raise ValueError("a custom loss_fn cannot honour a mask: pass one of the two, not both")
        pairs = zip(prediction.split(1), target.split(1), strict=True)
        return torch.stack([self.loss_fn(said, wanted) for said, wanted in pairs])
