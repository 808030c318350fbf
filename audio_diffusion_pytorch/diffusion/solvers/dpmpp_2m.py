"""DPM-Solver++ 2M: second order by the guess of the step before."""

from __future__ import annotations

from typing import Literal, get_args

import torch

from audio_diffusion_pytorch.diffusion.exponential import finish, first_order_step, step_levels
from audio_diffusion_pytorch.diffusion.multistep import (
    Past,
    moments,
    newton_weights,
    past_nodes,
    weigh,
)
from audio_diffusion_pytorch.protocols import Denoiser, NoiseSchedule, NoiseSource, State

Form = Literal["midpoint", "heun"]


class DPMpp2M:
    """Extend the last two guesses of the clean signal by a straight line in the log-SNR.

    One net call a step. Order 2; the first step, after which there is something to look back on, is
    Euler's. With `D = (x0 - x0_before) h / h_before` the result is the first-order step plus
    `alpha' (1 - e^(-h)) / 2 D` (midpoint) or `alpha' (1 - (1 - e^(-h)) / h) D` (heun).

    Args:
        form: "midpoint" takes the line at the middle of the step, "heun" integrates it exactly. The
            first is as published and mostly the more accurate one.

    Raises:
        ValueError: If the form is unknown.

    Source: Lu et al. 2022, "DPM-Solver++", arXiv 2211.01095, algorithm 2 (midpoint); heun is the
    line in the integral of its eq. 8.
    """

    order: int | None = 2
    net_calls = 1

    def __init__(self, form: Form = "midpoint") -> None:
        if form not in get_args(Form):
            raise ValueError(f"form must be 'midpoint' or 'heun', got {form!r}")
        self.form = form

    def step(
        self, denoiser: Denoiser, state: State, schedule: NoiseSchedule, noise: NoiseSource
    ) -> State:
        """Return the state at `state.next_time`; no noise is asked for."""
        del noise
        levels = step_levels(schedule, state)
        clean = denoiser(state.x, state.time)
        past: tuple[Past, ...] = state.memory
        width = levels.safe_width
        line = -torch.expm1(-width) / 2 if self.form == "midpoint" else moments(1, width)[0]
        weights = newton_weights([line], past_nodes(levels, past))
        change = weigh(weights, [point.value for point in past], clean)
        x = first_order_step(state.x, clean, levels) + levels.next_alpha * change
        return finish(state, x, clean, (Past(clean, levels.alpha, levels.sigma),))
