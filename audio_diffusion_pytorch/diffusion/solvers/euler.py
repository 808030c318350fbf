"""Euler's method on the probability-flow ODE: deterministic DDIM."""

from __future__ import annotations

from dataclasses import replace

from audio_diffusion_pytorch.ops.shapes import lift
from audio_diffusion_pytorch.protocols import Denoiser, NoiseSchedule, NoiseSource, State


class Euler:
    """Guess the clean signal, keep the noise it implies, mix both anew with less noise.

    One net call a step. `x' = alpha' x0 + sigma' eps` with `eps = (x - alpha x0) / sigma`.

    Source: Song et al. 2020, "DDIM", arXiv 2010.02502, eq. 12 with sigma = 0; first order
    (Lu et al. 2022, arXiv 2206.00927, section 3.3: DDIM is DPM-Solver-1).
    """

    order: int | None = 1

    def step(
        self, denoiser: Denoiser, state: State, schedule: NoiseSchedule, noise: NoiseSource
    ) -> State:
        """Return the state at `state.next_time`; a deterministic step needs no noise."""
        del noise
        x = state.x
        alpha, sigma = (lift(v, x).to(x.dtype) for v in schedule.alpha_sigma(state.time))
        next_alpha, next_sigma = (
            lift(v, x).to(x.dtype) for v in schedule.alpha_sigma(state.next_time)
        )
        clean = denoiser(x, state.time)
        ratio = next_sigma / sigma  # one division by the larger noise level: safe down to 0
        x = ratio * x + (next_alpha - ratio * alpha) * clean
        return replace(state, x=x, time=state.next_time, index=state.index + 1, clean=clean)
