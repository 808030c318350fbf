"""DDPM's own sampler: the posterior of the forward process, one step at a time."""

from __future__ import annotations

from typing import Literal, get_args

import torch

from audio_diffusion_pytorch.diffusion.exponential import (
    add_noise,
    ancestral_split,
    finish,
    first_order_step,
    step_levels,
)
from audio_diffusion_pytorch.protocols import Denoiser, NoiseSchedule, NoiseSource, State

Variance = Literal["small", "large"]


class Ancestral:
    """The mean of `q(x_t' | x_t, x0)` at the guess, and new noise.

    One net call a step; on any schedule, with steps of any width. No order is defined: it
    converges to the reverse SDE, slowly, and is meant for many steps (200 and more).

    Args:
        variance: Of the new noise. "small": the posterior's, `sigma'^2 (1 - e^(-2 h))`, right where
            the guess is; "large": the forward step's, `sigma^2 (1 - e^(-2 h))` (`beta_t` of a
            variance-preserving schedule), right for white data. Both agree as steps shrink; at
            wide ones "large" adds more noise than the level has, so prefer "small".

    Raises:
        ValueError: If `variance` is neither.

    Source: Ho et al. 2020, "DDPM", arXiv 2006.11239, eqs. 6 and 7 and section 3.2, for steps of
    any width (beta_t = 1 - alpha^2 / alpha'^2) and in the log-SNR, for any schedule.
    """

    order: int | None = None
    net_calls = 1

    def __init__(self, variance: Variance = "small") -> None:
        if variance not in get_args(Variance):
            raise ValueError(f'variance must be "small" or "large", got {variance!r}')
        self.variance = variance

    def step(
        self, denoiser: Denoiser, state: State, schedule: NoiseSchedule, noise: NoiseSource
    ) -> State:
        """Return the state at `state.next_time`; at the clean end no noise is asked for."""
        levels = step_levels(schedule, state)
        clean = denoiser(state.x, state.time)
        down, up = ancestral_split(levels, 1.0)
        if self.variance == "large":
            up = torch.where(levels.next_sigma > 0, up / levels.ratio, 0)
        x = first_order_step(state.x, clean, down)
        return finish(state, add_noise(x, up, state, noise), clean)
