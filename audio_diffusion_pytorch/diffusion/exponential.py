"""The arithmetic all solvers share: a step from one noise level to the next in the log-SNR.

With `lambda = log(alpha / sigma)` the probability-flow ODE is `d(x / sigma) = e^lambda x0 dlambda`,
so for any schedule

    x' = (sigma' / sigma) x + alpha' int_0^h e^(s - h) x0(lambda + s) ds,    h = lambda' - lambda.

Everything but the guess `x0` is exact here; solvers differ in how they extend `x0` over the step.
All of them write `x' = first-order step + alpha' sum_k w_k (x0_k - x0)`, so a guess that never
changes is followed exactly, whatever the weights. Where h is infinite (from pure noise, or to the
clean signal) only the first-order step is left.

Source: Lu et al. 2022, "DPM-Solver++", arXiv 2211.01095, eq. 8 (Proposition 4.1).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import inf

import torch
from torch import Tensor

from audio_diffusion_pytorch.ops.shapes import lift
from audio_diffusion_pytorch.protocols import Denoiser, NoiseSchedule, NoiseSource, State


@dataclass(frozen=True)
class Levels:
    """The two ends of a step, lifted over the signal, in float32 at least.

    Attributes:
        alpha: Signal gain where the step starts.
        sigma: Noise gain where it starts.
        next_alpha: Signal gain where it ends.
        next_sigma: Noise gain where it ends.
        width: `h`, the rise of `log(alpha / sigma)`; infinite from pure noise and to clean.
        inner: Where `h` is finite and above 0: elsewhere only the first-order step is right.
    """

    alpha: Tensor
    sigma: Tensor
    next_alpha: Tensor
    next_sigma: Tensor
    width: Tensor
    inner: Tensor

    @property
    def ratio(self) -> Tensor:
        """`sigma' / sigma`; 1 where there is no noise left to scale."""
        noisy = self.sigma > 0
        return torch.where(noisy, self.next_sigma / torch.where(noisy, self.sigma, 1), 1)

    @property
    def safe_width(self) -> Tensor:
        """`h` where `inner`, 1 elsewhere: safe to divide by; mask what comes of it."""
        return torch.where(self.inner, self.width, 1)

    @property
    def half_log_snr(self) -> Tensor:
        """`lambda` where the step starts; 0 where the step is not `inner`."""
        return (
            torch.where(self.inner, self.alpha, 1).log()
            - torch.where(self.inner, self.sigma, 1).log()
        )


def levels_between(alpha: Tensor, sigma: Tensor, next_alpha: Tensor, next_sigma: Tensor) -> Levels:
    """Return the levels of a step between two pairs of gains (all of broadcastable shapes)."""
    width = log_snr_rise(alpha, sigma, next_alpha, next_sigma)
    return Levels(alpha, sigma, next_alpha, next_sigma, width, torch.isfinite(width) & (width > 0))


def log_snr_rise(alpha: Tensor, sigma: Tensor, next_alpha: Tensor, next_sigma: Tensor) -> Tensor:
    """Return `lambda' - lambda`; infinite from pure noise or to clean.

    Pure noise is where the signal drowns in the rounding of `x`: `alpha <= 4 eps sigma`, which
    also holds a schedule that reaches 0 only up to rounding.
    """
    floor = 4 * torch.finfo(alpha.dtype).eps
    finite = (alpha > floor * sigma) & (next_sigma > 0)
    signal = torch.where(finite, next_alpha, 1) / torch.where(finite, alpha, 1)
    noise = torch.where(finite, sigma, 1) / torch.where(finite, next_sigma, 1)
    return torch.where(finite, signal.log() + noise.log(), torch.inf)


def gains(schedule: NoiseSchedule, time: Tensor, like: Tensor) -> tuple[Tensor, Tensor]:
    """Return `(alpha, sigma)` at `time`, lifted over `like (b, c, *t)`, in float32 at least."""
    exact = time.to(torch.promote_types(like.dtype, torch.float32))
    alpha, sigma = schedule.alpha_sigma(exact)
    return lift(alpha, like), lift(sigma, like)


def step_levels(schedule: NoiseSchedule, state: State, next_time: Tensor | None = None) -> Levels:
    """Return the levels of the step of `state`, or of one from its time to another `next_time`."""
    there = state.next_time if next_time is None else next_time
    return levels_between(*gains(schedule, state.time, state.x), *gains(schedule, there, state.x))


def time_within(
    schedule: NoiseSchedule, state: State, levels: Levels, fraction: float | Tensor
) -> Tensor:
    """Return the time at `lambda + fraction h`, of the shape of `state.time`.

    Where the step is not inner it is the time the step starts from.
    """
    half_log_snr = levels.half_log_snr + fraction * levels.safe_width
    time = schedule.time_at(2 * half_log_snr)
    start = lift(state.time.to(time.dtype), state.x)
    return torch.where(levels.inner, time, start).reshape(state.time.shape)


def first_order_step(x: Tensor, clean: Tensor, levels: Levels) -> Tensor:
    """Keep the noise that `x` and the guess imply, mix both anew: exact if the guess is right.

    `x' = (sigma' / sigma) x + (alpha' - alpha sigma' / sigma) x0`; no division by alpha, so it
    starts from pure noise and ends at clean.

    Source: Song et al. 2020, "DDIM", arXiv 2010.02502, eq. 12 with sigma_t = 0.
    """
    ratio = levels.ratio
    return (ratio * x + (levels.next_alpha - ratio * levels.alpha) * clean).to(x.dtype)


def implied_noise(x: Tensor, clean: Tensor, levels: Levels) -> Tensor:
    """Return `eps = (x - alpha x0) / sigma` in float32 at least; 0 where there is no noise."""
    noisy = levels.sigma > 0
    noise = (x - levels.alpha * clean) / torch.where(noisy, levels.sigma, 1)
    return torch.where(noisy, noise, 0)


def finish(state: State, x: Tensor, clean: Tensor, memory: tuple[object, ...] = ()) -> State:
    """Return the state after a step: at `next_time`, one step further, in the dtype of before."""
    return replace(
        state, x=x.to(state.x.dtype), time=state.next_time, index=state.index + 1, clean=clean,
        memory=memory,
    )  # fmt: skip


# Stochastic steps: part of the noise is replaced by new noise


def check_eta(eta: float) -> float:
    """Return `eta`, the share of new noise; refuse what is below 0, infinite or not a number."""
    if not 0 <= eta < inf:
        raise ValueError(f"eta must be at least 0 (0 is deterministic) and finite, got {eta:g}")
    return eta


def ancestral_split(levels: Levels, eta: float) -> tuple[Levels, Tensor]:
    """Split the noise at the end of a step into kept and new.

    Args:
        levels: The step.
        eta: Share of the new noise: 0 is deterministic, 1 the reverse of the forward process
            (DDPM's posterior); any value keeps the level right.

    Returns:
        The levels of the deterministic step down to `sqrt(sigma'^2 - up^2)`, and `up`, the standard
        deviation of the new noise: `up = min(1, eta sqrt(1 - e^(-2 h))) sigma'`.

    Source: Song et al. 2020, arXiv 2010.02502, eq. 16, written for any schedule; the same as the
    ancestral step of k-diffusion.
    """
    kept = ((1 - eta) * (1 + eta) + eta**2 * torch.exp(-2 * levels.width)).clamp_min(0).sqrt()
    fresh = (eta * (-torch.expm1(-2 * levels.width)).clamp_min(0).sqrt()).clamp_max(1)
    down = levels_between(levels.alpha, levels.sigma, levels.next_alpha, levels.next_sigma * kept)
    return down, levels.next_sigma * fresh


def euler_step(
    denoiser: Denoiser, state: State, schedule: NoiseSchedule, noise: NoiseSource, eta: float
) -> State:
    """Make a first-order step that replaces part of the noise: DDIM with eta, Euler ancestral.

    Args:
        denoiser: Guesses the clean signal: one call.
        state: Where the walk stands.
        schedule: What its times mean.
        noise: Asked only where new noise is needed.
        eta: Share of the new noise, see `ancestral_split`.
    """
    levels = step_levels(schedule, state)
    clean = denoiser(state.x, state.time)
    if eta == 0:
        return finish(state, first_order_step(state.x, clean, levels), clean)
    down, up = ancestral_split(levels, eta)
    x = first_order_step(state.x, clean, down)
    return finish(state, add_noise(x, up, state, noise), clean)


def add_noise(x: Tensor, up: Tensor, state: State, noise: NoiseSource) -> Tensor:
    """Return `x + up noise`; where `up` is 0 nothing is added, and if it is 0 all over none asked.

    Args:
        x: The signal `(b, c, *t)`.
        up: Standard deviation of the noise, broadcasts over `x`.
        state: Where the walk stands: gives the times for which noise is asked.
        noise: Source of unit-variance noise.
    """
    if not bool((up > 0).any()):
        return x
    drawn = noise(state.x, state.time, state.next_time)
    return torch.where(up > 0, x + up * drawn, x).to(x.dtype)
