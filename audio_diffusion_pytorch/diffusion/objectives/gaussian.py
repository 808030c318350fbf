"""The one training objective that all others are names for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from audio_diffusion_pytorch.diffusion.coupling import Coupling
from audio_diffusion_pytorch.diffusion.denoiser import ask, bind_denoiser, denoise, levels_at
from audio_diffusion_pytorch.diffusion.times import UniformDistribution, draw_times, shared_strata
from audio_diffusion_pytorch.ops.classes import refuse_class
from audio_diffusion_pytorch.ops.random import randn_like
from audio_diffusion_pytorch.protocols import (
    Denoiser,
    LossWeight,
    NoiseSchedule,
    Parameterization,
    TimeSampler,
)

from .item_loss import check_mask, per_item_mse

Reduction = Literal["mean", "none"]
LossFunction = Callable[[Tensor, Tensor], Tensor]


class Diffusion(nn.Module):
    """Base of the training objectives."""


class GaussianDiffusion(Diffusion):
    """Any Gaussian diffusion: a schedule says the mix, a parameterization what the net predicts.

    The loss is the mean squared error on what the net says, weighted by noise level. A part that
    is an `nn.Module` (a learned weight) is a submodule: its parameters are the model's.

    Args:
        net: Any `Net`.
        schedule: The `NoiseSchedule`.
        parameterization: What the net says.
        times: Draws the training times; default uniform over 0..1.
        weight: Weighs the loss of each item by its level, such as `MinSNR()`; default none.
        loss_fn: `(prediction, target) -> scalar` in place of the mean squared error, called on
            each item `(1, c, *t)`.
        coupling: Chooses which noise meets which signal, such as `OptimalTransport()` for flows;
            default by chance. Noise that is passed in stays where it is.

    Raises:
        ValueError: If a class is given for one of its objects, as in `weight=MinSNR`.
    """

    def __init__(
        self,
        net: nn.Module,
        schedule: NoiseSchedule,
        parameterization: Parameterization,
        times: TimeSampler | None = None,
        weight: LossWeight | None = None,
        *,
        loss_fn: LossFunction | None = None,
        coupling: Coupling | None = None,
    ) -> None:
        super().__init__()
        parts = {"net": net, "schedule": schedule, "parameterization": parameterization}
        parts |= {"times": times, "weight": weight, "loss_fn": loss_fn, "coupling": coupling}
        for name, part in parts.items():
            refuse_class(name, part)
        self.net = net
        self.schedule = schedule
        self.parameterization = parameterization
        self.times: TimeSampler = UniformDistribution() if times is None else times
        self.weight = weight
        self.loss_fn = loss_fn
        self.coupling = coupling
        self._times_seen = False

    def denoise(self, x: Tensor, time: Tensor, **cond: Any) -> Tensor:
        """Return the guess of the clean signal for `x (b, c, *t)` at `time (b,)`."""
        return denoise(self.predict, self.schedule, self.parameterization, x, time, **cond)

    def denoiser(self, **cond: Any) -> Denoiser:
        """Return the `Denoiser` with this conditioning bound."""
        return bind_denoiser(self.predict, self.schedule, self.parameterization, **cond)

    def predict(self, x: Tensor, time: Tensor, **cond: Any) -> Tensor:
        """Return what the net says; override it for a net that is called in another way.

        Training, `denoise` and `denoiser` all ask the net here and nowhere else.

        Args:
            x: Noisy signal `(b, c, *t)`, scaled as the parameterization wants it.
            time: `(b,)` or `(b, 1, *t)`, as the parameterization says it.
            **cond: Handed to the net.
        """
        said: Tensor = self.net(x, time, **cond)
        return said

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
            mask: `(b, 1 | c, *t)`, True (or 1) where the signal is real, False where it is
                padding: there the signal is taken for zero and no error counts. Floats in 0..1
                weigh the error.
            generator: For the times and the noise, on the device of `x`.
            reduction: "mean" gives a scalar, "none" the loss of each item `(b,)`.
            times: Fixed times `(b,)` or `(b, 1, *t)` in 0..1 instead of drawn ones.
            noise: Fixed noise of the shape of `x` instead of drawn noise.
            **cond: Handed to the net.

        Raises:
            ValueError: If the batch is empty or not of real numbers, or the reduction, a shape, a
                time, a mask's value or the generator's device does not fit.
        """
        self._check_batch(x, mask, reduction)
        if mask is not None:  # a net that looks around would see what stands in the padding
            x = x.masked_fill(mask == 0, 0.0)
        given = times is not None
        if times is None:
            times = self.draw_times(len(x), x.device, generator)
        if noise is None:
            noise = self.draw_noise(x, mask, generator, cond)
        self._check_draws(x, times, noise, given)
        alpha, sigma = levels_at(self.schedule, times, x)
        target = self.parameterization.target(x, noise, alpha, sigma)
        noisy = alpha * x + sigma * noise
        said, _, _ = ask(self.predict, self.schedule, self.parameterization, noisy, times, **cond)
        loss = self.weigh(self.measure(said, target, mask), times)
        return loss.mean() if reduction == "mean" else loss

    def draw_times(
        self, num_samples: int, device: torch.device, generator: Generator | None
    ) -> Tensor:
        """Draw training times `(num_samples,)`; samplers that take no generator still work.

        In evaluation mode strata are not shared with other calls or processes, so that the same
        generator always gives the same times.
        """
        with nullcontext() if self.training else shared_strata(0, 0, 1):
            return draw_times(self.times, num_samples, device, generator)

    def draw_noise(
        self,
        x: Tensor,
        mask: Tensor | None,
        generator: Generator | None,
        cond: Mapping[str, Any],
    ) -> Tensor:
        """Draw unit-variance noise of the shape of `x` and let the coupling order it."""
        noise = randn_like(x, generator)
        return noise if self.coupling is None else self.coupling(x, noise, mask, cond)

    def measure(self, prediction: Tensor, target: Tensor, mask: Tensor | None) -> Tensor:
        """Return the loss of each item `(b,)`: the mean squared error, or by `loss_fn`.

        Raises:
            ValueError: If shapes do not fit, or a mask meets a custom `loss_fn`, which could not
                honour it.
        """
        if self.loss_fn is None or self.loss_fn is F.mse_loss:
            return per_item_mse(prediction, target, mask)
        if mask is not None:
            raise ValueError("a custom loss_fn cannot honour a mask: pass one of the two, not both")
        pairs = zip(prediction.split(1), target.split(1), strict=True)
        return torch.stack([self.loss_fn(said, wanted) for said, wanted in pairs])

    def weigh(self, loss: Tensor, times: Tensor) -> Tensor:
        """Return the weighted losses `(b,)`; times per position count by their mean."""
        if self.weight is None:
            return loss
        exact = torch.promote_types(loss.dtype, torch.float32)
        level = times.to(exact).reshape(len(times), -1).mean(1)
        levels = self.schedule.alpha_sigma(level)
        _, c_out, _, _ = self.parameterization.coefficients(level, *levels)
        return self.weight(loss, self.schedule.log_snr(level), c_out)

    def _check_batch(self, x: Tensor, mask: Tensor | None, reduction: str) -> None:
        if x.numel() == 0 or x.ndim < 2:
            raise ValueError(
                "diffusion needs signals (b, c, t), at least one sample of one item, got shape "
                f"{tuple(x.shape)}"
            )
        if not x.is_floating_point():
            raise ValueError(
                f"diffusion needs signals of real numbers, got {x.dtype}: use x.float()"
            )
        if mask is not None:
            check_mask(mask, x)
        if reduction not in ("mean", "none"):
            raise ValueError(f'reduction must be "mean" or "none", got {reduction!r}')

    def _check_draws(self, x: Tensor, times: Tensor, noise: Tensor, given: bool) -> None:
        per_position = (len(x), 1, *x.shape[2:])
        if tuple(times.shape) not in ((len(x),), per_position) or noise.shape != x.shape:
            raise ValueError(
                f"times must be ({len(x)},) or {per_position} and noise {tuple(x.shape)} for this "
                f"batch, got {tuple(times.shape)} and {tuple(noise.shape)}"
            )
        # Reading values makes an accelerator wait, so drawn times are looked at once.
        if times.is_meta or torch.compiler.is_compiling() or (self._times_seen and not given):
            return
        if not bool(((times >= 0) & (times <= 1)).all()):
            low, high = float(times.min()), float(times.max())
            source = "" if given else f" from {type(self.times).__name__}"
            advice = "" if given else ": give a sampler of sigmas its noise_schedule"
            raise ValueError(
                f"times must lie in 0 (clean) .. 1 (noise), got {low:.4g}..{high:.4g}"
                f"{source}{advice}"
            )
        self._times_seen = self._times_seen or not given
