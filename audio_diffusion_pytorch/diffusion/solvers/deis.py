"""DEIS: exponential multistep on the noise."""

from __future__ import annotations

from math import factorial

import torch
from torch import Tensor

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


class DEIS(Recorded):
    """Extend the noise of the last `order` steps by a polynomial in the log-SNR, integrate exactly.

    One net call a step, and what the start takes. With `rho = sigma / alpha` and `u = 0 .. 1` over
    the step, the result is the first-order step plus

        -alpha' rho h int e^(-h u) (p(u) - eps) du,    p the polynomial through the noise seen.

    The integrals are closed forms with a series for small h (published code subtracts nearly equal
    logarithms there and loses its order in float32). A step from pure noise or to clean is Euler's.

    Args:
        order: Points used, 1 to 4. `.order` is what is left of it after the start.
        start: "euler" works up from one point as published: n net calls, order 2 at most. "heun"
            makes the first step by Heun: n + 1 calls, order 3 at most. "rk4" makes the first
            `order - 1` by Runge-Kutta, three calls more for each: the full order.

    Raises:
        ValueError: If the order is out of range or the start is unknown.

    Source: Zhang and Chen 2022, "DEIS", arXiv 2204.13902, section 3 (exponential integrator with
    polynomial extrapolation, tAB-DEIS), the polynomial in `log rho` as in diffusers'
    `DEISMultistepScheduler`.
    """

    order: int | None
    net_calls = 1

    def __init__(self, order: int = 3, start: Start = "euler") -> None:
        if order not in (1, 2, 3, 4):
            raise ValueError(f"the order of DEIS must be 1, 2, 3 or 4, got {order}")
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
        nodes = past_nodes(levels, past)
        integrals = falling_moments(max(1, len(past)), levels.safe_width)
        weights = newton_weights(integrals, nodes)
        change = weigh(weights, [point.value for point in past], seen)
        span = levels.next_alpha * levels.sigma / torch.where(levels.inner, levels.alpha, 1)
        x = first_order_step(state.x, clean, levels)
        x = torch.where(levels.inner, x - span * levels.safe_width * change, x)
        x = started(x, clean, nodes, levels, self.start, self.points, (denoiser, state, schedule))
        here = Past(seen, levels.alpha, levels.sigma)
        return finish(state, x, clean, (here, *past)[: self.points])


def falling_moments(count: int, width: Tensor) -> list[Tensor]:
    """Return `int_0^1 e^(-h u) u^j du` for j = 1 .. count.

    By parts `j m_(j - 1) = h m_j + e^(-h)`: solved upwards from `m_0 = (1 - e^(-h)) / h`, and
    downwards from the power series where `h < 1` and the way up would cancel.
    """
    small = width < 1
    near, far = torch.where(small, width, 0), torch.where(small, 1, width)
    up = [-torch.expm1(-far) / far]
    for j in range(1, count + 1):
        up.append((j * up[-1] - torch.exp(-far)) / far)
    series = torch.zeros_like(width)
    for n in range(18, -1, -1):
        series = (-1) ** n / (factorial(n) * (n + count + 1)) + near * series
    down = [series]
    for j in range(count, 1, -1):
        down.append((near * down[-1] + torch.exp(-near)) / j)
    return [torch.where(small, a, b) for a, b in zip(reversed(down), up[1:], strict=True)]
