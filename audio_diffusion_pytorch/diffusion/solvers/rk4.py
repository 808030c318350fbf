"""The classical Runge-Kutta method along the straight path."""

from __future__ import annotations

from audio_diffusion_pytorch.diffusion.exponential import finish, first_order_step, step_levels
from audio_diffusion_pytorch.diffusion.single_step import rk4_step
from audio_diffusion_pytorch.protocols import Denoiser, NoiseSchedule, NoiseSource, State


class RK4:
    """Look at the start, twice at the middle and at the end of a step, and weigh 1 : 2 : 2 : 1.

    Four net calls a step, one where it ends at clean: 4 n - 3 for n steps down to clean. Order 4.
    Whatever the schedule, the step is made on `tau = sigma / (alpha + sigma)`, the time of the
    straight path, where the flow is smooth from pure noise on: unlike the other solvers it keeps
    its order from there too. For reference and checking; few net calls are better spent elsewhere.

    Source: Kutta 1901; along the rectified flow of Liu et al. 2022, arXiv 2209.03003.
    """

    order: int | None = 4
    net_calls = 4

    def step(
        self, denoiser: Denoiser, state: State, schedule: NoiseSchedule, noise: NoiseSource
    ) -> State:
        """Return the state at `state.next_time`; no noise is asked for."""
        del noise
        levels = step_levels(schedule, state)
        clean = denoiser(state.x, state.time)
        noisy = (levels.next_sigma > 0) & (levels.width > 0)
        if bool(noisy.any()):
            x = rk4_step(denoiser, state, schedule, levels, clean, noisy)
        else:
            x = first_order_step(state.x, clean, levels)
        return finish(state, x, clean)
