"""EDM's stochastic sampler: a little noise put back before each of Heun's steps."""

from __future__ import annotations

from dataclasses import replace
from math import inf, sqrt

import torch
from torch import Tensor

from audio_diffusion_pytorch.diffusion.objectives import KDiffusion, VKDiffusion
from audio_diffusion_pytorch.diffusion.solvers import Heun
from audio_diffusion_pytorch.ops.shapes import lift
from audio_diffusion_pytorch.protocols import Denoiser, NoiseSchedule, NoiseSource, Solver, State

from .sigma_sampler import SigmaSampler


class KarrasSampler(SigmaSampler):
    """EDM's stochastic sampler: each step first raises the noise by a factor, then goes down.

    Two net calls a step, one to the clean end; without churn it is Heun's method, of order 2.
    Called as in the 0.0.x releases, whose version did not work: it multiplied the second-order
    correction by a difference that is 0 without churn, so that it gave back its start noise, and
    it stopped one step before the last sigma. Both are right here.

    Args:
        s_tmin: Lowest sigma at which noise is put back.
        s_tmax: Highest sigma at which noise is put back.
        s_churn: How much, over the whole walk: a step of N raises sigma by the factor
            `1 + min(s_churn / N, sqrt(2) - 1)`. 0 is deterministic.
        s_noise: Standard deviation of that noise, in units of what the level asks for; a little
            above 1 (1.003) makes up for details that nets take away.

    Raises:
        ValueError: If a number is out of range, or `s_tmin` is above `s_tmax`.

    Source: Karras et al. 2022, arXiv 2206.00364, algorithm 2.
    """

    diffusion_types = [KDiffusion, VKDiffusion]  # noqa: RUF012

    def __init__(
        self,
        s_tmin: float = 0.0,
        s_tmax: float = float("inf"),
        s_churn: float = 0.0,
        s_noise: float = 1.0,
    ) -> None:
        super().__init__()
        if not 0 <= s_tmin <= s_tmax:
            raise ValueError(
                "noise is put back at sigmas of 0 <= s_tmin <= s_tmax, got "
                f"s_tmin={s_tmin} and s_tmax={s_tmax}"
            )
        if not (s_churn >= 0 and 0 <= s_noise < inf):
            raise ValueError(
                "s_churn must be at least 0 (deterministic) and s_noise a finite number of at "
                f"least 0 (1 is exact), got s_churn={s_churn} and s_noise={s_noise}"
            )
        self.s_tmin, self.s_tmax = s_tmin, s_tmax
        self.s_churn, self.s_noise = s_churn, s_noise

    def make_solver(self, num_steps: int) -> Solver:
        """Return Heun's method, behind the churn of a walk of `num_steps`."""
        gamma = min(self.s_churn / num_steps, sqrt(2) - 1)
        if gamma == 0:
            return Heun(as_published=True)
        return Churn(gamma, self.s_tmin, self.s_tmax, self.s_noise)


class Churn:
    """Raise the noise by the factor `1 + gamma`, then make a step of Heun's from there.

    Args:
        gamma: Share of the level's noise that is put back.
        s_tmin: Lowest `sigma / alpha` at which it is.
        s_tmax: Highest.
        s_noise: Standard deviation of that noise, in units of what the level asks for.
    """

    order: int | None = None
    net_calls = 2

    def __init__(self, gamma: float, s_tmin: float, s_tmax: float, s_noise: float) -> None:
        self.gamma, self.s_noise = gamma, s_noise
        self.s_tmin, self.s_tmax = s_tmin, s_tmax

    def step(
        self, denoiser: Denoiser, state: State, schedule: NoiseSchedule, noise: NoiseSource
    ) -> State:
        """Return the state at `state.next_time`."""
        alpha, sigma = schedule.alpha_sigma(state.time)
        level = sigma / alpha
        churned = (level >= self.s_tmin) & (level <= self.s_tmax)
        raised = torch.where(churned, level * (1 + self.gamma), level)
        higher = torch.where(churned, schedule.time_at(-2 * raised.log()), state.time)
        spread = (raised**2 - level**2).clamp_min(0).sqrt() * alpha * self.s_noise
        x: Tensor = state.x
        x = x + lift(spread, x).to(x.dtype) * noise(x, state.time, higher)
        raised_state = replace(state, x=x, time=higher)
        return Heun(as_published=True).step(denoiser, raised_state, schedule, noise)
