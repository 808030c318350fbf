"""Linear multistep (Adams-Bashforth) in the noise-to-signal ratio."""

from __future__ import annotations

import torch

from audio_diffusion_pytorch.diffusion.exponential import (
    finish,
    first_order_step,
    implied_noise,
    step_levels,
)
from audio_diffusion_pytorch.diffusion.multistep import Past, newton_weights, past_nodes, weigh
from audio_diffusion_pytorch.diffusion.single_step import Start, start_order, started
from audio_diffusion_pytorch.protocols import Denoiser, NoiseSchedule, NoiseSource, State
from audio_diffusion_pytorch.serialization import Recorded


class LMS(Recorded):
    """Extend the noise of the last `order` steps by a polynomial in `sigma / alpha`.

    One net call a step, and what the start takes. The result is the first-order step plus
    `alpha' (rho' - rho) sum_k w_k (eps_k - eps)` with `rho = sigma / alpha` and the exact integrals
    of the polynomial through the points, on any spacing. A step from pure noise or to clean is
    Euler's.

    Args:
        order: Points used, 1 to 4. `.order` is what is left of it after the start.
        start: "euler" works up from one point as k-diffusion does: n net calls, order 2 at most
            (the first step costs it). "heun" makes the first step by Heun: n + 1 calls, order 3 at
            most. "rk4" makes the first `order - 1` by Runge-Kutta, three calls more for each: the
            full order.

    Raises:
        ValueError: If the order is out of range or the start is unknown.

    Source: Bashforth and Adams 1883, with variable steps; in this coordinate it is k-diffusion's
    `sample_lms`, whose coefficients come from numerical quadrature, and the rho-AB-DEIS of Zhang
    and Chen 2022, arXiv 2204.13902.
    """

    order: int | None
    net_calls = 1

    def __init__(self, order: int = 4, start: Start = "euler") -> None:
        if order not in (1, 2, 3, 4):
            raise ValueError(f"the order of LMS must be 1, 2, 3 or 4, got {order}")
        self.points = order - 1
        self.start: Start = start
        self.order = start_order(order, start)

    def step(
        self, denoiser: Denoiser, state: State, schedule: NoiseSchedule, noise: NoiseSource
    ) -> State:
        """Return the state at `state.next_time`; no noise is asked for."""
        del noise
        levels = step_levels(schedule, state)
        clean = denoiser(state.x, state.time)
        seen = implied_noise(state.x, clean, levels)
        past: tuple[Past, ...] = state.memory
        nodes = past_nodes(levels, past, in_noise_ratio=True)
        integrals = [torch.full_like(levels.width, 1 / (j + 1)) for j in (1, 2, 3)]
        weights = newton_weights(integrals, nodes)
        change = weigh(weights, [point.value for point in past], seen)
        # alpha' (rho' - rho) = sigma' - alpha' sigma / alpha
        span = levels.next_sigma * -torch.expm1(levels.safe_width)
        x = first_order_step(state.x, clean, levels)
        x = torch.where(levels.inner, x + span * change, x)
        x = started(x, clean, nodes, levels, self.start, self.points, (denoiser, state, schedule))
        here = Past(seen, levels.alpha, levels.sigma)
        return finish(state, x, clean, (here, *past)[: self.points])
