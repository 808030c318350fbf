"""Ping-pong: guess the clean signal, noise it afresh to the next level, and again."""

from __future__ import annotations

from audio_diffusion_pytorch.diffusion.exponential import add_noise, finish, gains
from audio_diffusion_pytorch.protocols import Denoiser, NoiseSchedule, NoiseSource, State


class PingPong:
    """Multistep sampling of a consistency map: `x' = alpha' x0 + sigma' noise`, all noise new.

    One net call a step. Only for a net whose guess is a possible sound (a consistency model, or
    one distilled to few steps): then each step's result has the right distribution at any number
    of steps. The guess of a plain denoiser is an average of sounds, and what is lost by averaging
    does not come back. No order is defined.

    Its noise is independent from step to step, which `GaussianNoise` and `BrownianNoise` both give.

    Source: Song et al. 2023, "Consistency models", arXiv 2303.01469, algorithm 1.
    """

    order: int | None = None
    net_calls = 1

    def step(
        self, denoiser: Denoiser, state: State, schedule: NoiseSchedule, noise: NoiseSource
    ) -> State:
        """Return the state at `state.next_time`; at the clean end no noise is asked for."""
        next_alpha, next_sigma = gains(schedule, state.next_time, state.x)
        clean = denoiser(state.x, state.time)
        return finish(state, add_noise(next_alpha * clean, next_sigma, state, noise), clean)
