"""Heun's method on the probability-flow ODE, in the form that stands wide steps."""

from __future__ import annotations

from audio_diffusion_pytorch.diffusion.exponential import finish, first_order_step, step_levels
from audio_diffusion_pytorch.diffusion.single_step import heun_step
from audio_diffusion_pytorch.protocols import Denoiser, NoiseSchedule, NoiseSource, State


class Heun:
    """Step as Euler does, guess there too, and step again along the line through both guesses.

    Two net calls a step, one where the step starts from pure noise or ends at clean: 2 n - 1 for n
    steps down to clean. Order 2, in both forms. The result is the first-order step plus
    `alpha' (1 - (1 - e^(-h)) / h) (x0' - x0)`, never more than the change of the guess itself.

    Args:
        as_published: Weigh the change by `(e^h - 1) / 2` instead, the mean of the noise seen at
            both ends: EDM's sampler, and the steps of k-diffusion and diffusers. A step over which
            `sigma / alpha` falls 10 times multiplies the change by 4.5, so it takes many steps to
            be of use.

    Source: Hochbruck and Ostermann 2010, "Exponential integrators", section 2, on the equation of
    Lu et al. 2022, arXiv 2211.01095, eq. 8. As published: Karras et al. 2022, arXiv 2206.00364,
    algorithm 1 with `sigma(t) = t` (algorithm 2 without churn), in `x / alpha` over
    `sigma / alpha` on every schedule.
    """

    order: int | None = 2
    net_calls = 2

    def __init__(self, as_published: bool = False) -> None:
        self.as_published = as_published

    def step(
        self, denoiser: Denoiser, state: State, schedule: NoiseSchedule, noise: NoiseSource
    ) -> State:
        """Return the state at `state.next_time`; no noise is asked for."""
        del noise
        levels = step_levels(schedule, state)
        clean = denoiser(state.x, state.time)
        if bool(levels.inner.any()):
            x = heun_step(
                denoiser, state, levels, clean, levels.inner, as_published=self.as_published
            )
        else:
            x = first_order_step(state.x, clean, levels)
        return finish(state, x, clean)
