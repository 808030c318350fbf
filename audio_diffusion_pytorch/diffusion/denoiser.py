"""From a network to a guess of the clean signal: the only place that does this arithmetic."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor

from audio_diffusion_pytorch.ops.shapes import lift
from audio_diffusion_pytorch.protocols import (
    Denoise,
    Denoiser,
    NoiseSchedule,
    Parameterization,
)


def levels_at(schedule: NoiseSchedule, time: Tensor, like: Tensor) -> tuple[Tensor, Tensor]:
    """Return `(alpha, sigma)` at `time`, lifted over `like (b, c, *t)` and in its dtype.

    The schedule itself is evaluated in float32 at least: half precision cannot tell times apart.
    """
    time = time.to(torch.promote_types(like.dtype, torch.float32))
    alpha, sigma = schedule.alpha_sigma(time)
    return lift(alpha, like).to(like.dtype), lift(sigma, like).to(like.dtype)


def ask(
    net: Callable[..., Tensor],
    schedule: NoiseSchedule,
    parameterization: Parameterization,
    x: Tensor,
    time: Tensor,
    **cond: Any,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return what the net says of `x (b, c, *t)` with `c_skip` and `c_out`, lifted over `x`."""
    exact = time.to(torch.promote_types(x.dtype, torch.float32))
    c_skip, c_out, c_in, c_noise = parameterization.coefficients(
        exact, *schedule.alpha_sigma(exact)
    )
    skip, out, scale = (lift(c, x).to(x.dtype) for c in (c_skip, c_out, c_in))
    return net(scale * x, c_noise.to(x.dtype), **cond), skip, out


def denoise(
    net: Callable[..., Tensor],
    schedule: NoiseSchedule,
    parameterization: Parameterization,
    x: Tensor,
    time: Tensor,
    **cond: Any,
) -> Tensor:
    """Return the guess of the clean signal: `c_skip x + c_out F(c_in x, c_noise)`.

    Args:
        net: Any `Net`.
        schedule: What `time` means.
        parameterization: What the net says.
        x: Noisy signal `(b, c, *t)`.
        time: Its noise level, `(b,)` or `(b, 1, *t)`, in 0..1.
        **cond: Handed to the net.
    """
    prediction, skip, out = ask(net, schedule, parameterization, x, time, **cond)
    return skip * x + out * prediction


class NetDenoise:
    """A `Denoise (x, time, **cond) -> x0` that knows which net it asks.

    Args:
        denoise: The denoiser before its conditioning.
        net: The net behind it. If it offers `prepare(**cond) -> cond`, conditions are prepared
            once for all steps.
    """

    def __init__(self, denoise: Denoise, net: object) -> None:
        self.denoise, self.net = denoise, net

    def __call__(self, x: Tensor, time: Tensor, /, **cond: Any) -> Tensor:
        """Return the guess of the clean signal of the shape of `x (b, c, *t)`."""
        return self.denoise(x, time, **cond)

    def prepare(self, cond: Mapping[str, Any]) -> dict[str, Any]:
        """Return the condition with what no step changes computed, where the net offers it.

        Only outside of training: what is prepared carries no gradients to the weights.
        """
        offer = getattr(self.net, "prepare", None)
        if offer is None or torch.is_grad_enabled() or getattr(self.net, "training", False):
            return dict(cond)
        return dict(offer(**cond))


def prepared(denoise: Denoise, cond: Mapping[str, Any]) -> dict[str, Any]:
    """Return the condition ready for many calls of `denoise`, or as it is."""
    return denoise.prepare(cond) if isinstance(denoise, NetDenoise) else dict(cond)


def bind_denoiser(
    net: Callable[..., Tensor],
    schedule: NoiseSchedule,
    parameterization: Parameterization,
    **cond: Any,
) -> Denoiser:
    """Return a `Denoiser (x, time) -> x0` with everything but the state bound."""
    return partial(denoise, net, schedule, parameterization, **cond)
