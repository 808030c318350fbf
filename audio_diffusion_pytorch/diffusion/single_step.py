"""Steps that look ahead instead of back: Heun's and Runge-Kutta's, also used to start others.

Both are written as the first-order step plus differences of guesses, `x0_i - x0`: a guess that
never changes is followed exactly, and no small difference is divided by a small level.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from audio_diffusion_pytorch.ops.shapes import lift
from audio_diffusion_pytorch.protocols import Denoiser, NoiseSchedule, State

from .exponential import Levels, first_order_step, gains, levels_between
from .multistep import Nodes, moments

Start = Literal["euler", "heun", "rk4"]


def heun_step(
    denoiser: Denoiser,
    state: State,
    levels: Levels,
    clean: Tensor,
    where: Tensor,
    *,
    as_published: bool = False,
) -> Tensor:
    """Return `x'` by Heun's method: a first-order step, and what the guess there changes.

    By a straight line through the two guesses in lambda the change `x0' - x0` gets the weight
    `alpha' (1 - (1 - e^(-h)) / h)`, at most alpha'. As published, by the trapezoidal rule on
    `d(x / alpha) = noise d(sigma / alpha)`, it is `alpha' (e^h - 1) / 2`, of the same order but
    exploding with the width of the step. One net call more than the guess `clean` took.

    Args:
        denoiser: Guesses the clean signal.
        state: Where the walk stands.
        levels: The step.
        clean: The guess at its start.
        where: Elements to do so for, only inner ones; the others make a first-order step.
        as_published: Take the trapezoid's weight.

    Source: Hochbruck and Ostermann 2010, "Exponential integrators", section 2; as published:
    Karras et al. 2022, arXiv 2206.00364, algorithm 1 with `sigma(t) = t`.
    """
    ahead = first_order_step(state.x, clean, levels)
    change = denoiser(ahead, state.next_time) - clean
    width = levels.safe_width
    weight = torch.expm1(width) / 2 if as_published else moments(1, width)[0]
    return torch.where(where, ahead + levels.next_alpha * weight * change, ahead).to(ahead.dtype)


def rk4_step(
    denoiser: Denoiser,
    state: State,
    schedule: NoiseSchedule,
    levels: Levels,
    clean: Tensor,
    where: Tensor,
) -> Tensor:
    """Return `x'` by the classical Runge-Kutta method along the straight path.

    On `tau = sigma / (alpha + sigma)` and `z = x / (alpha + sigma)`, to which any schedule can be
    brought, the flow is `dz / dtau = eps - x0 = (z - x0) / tau`: smooth from pure noise on. With
    `delta` the distance of z from the first-order path and `d` of the guess from the first one,
    its four slopes are that of the path plus `(delta - d) / tau`. Three net calls more than the
    guess `clean` took.

    Args:
        denoiser: Guesses the clean signal.
        state: Where the walk stands.
        schedule: What its times mean.
        levels: The step.
        clean: The guess at its start.
        where: Elements to do so for; noise must be left at their end, and signal may be missing at
            their start. The others make a first-order step.

    Source: Kutta 1901; the coordinate is the rectified flow of Liu et al. 2022, arXiv 2209.03003.
    """
    x = state.x
    tau = levels.sigma / (levels.alpha + levels.sigma)
    next_tau = torch.where(
        where, levels.next_sigma / (levels.next_alpha + levels.next_sigma), tau / 2
    )
    step, middle_tau = next_tau - tau, (tau + next_tau) / 2
    middle_time = schedule.time_at(2 * ((1 - middle_tau) / middle_tau).log())
    start = lift(state.time.to(middle_time.dtype), x)
    middle_time = torch.where(where, middle_time, start).reshape(state.time.shape)
    alpha, sigma = gains(schedule, middle_time, x)
    middle = first_order_step(x, clean, levels_between(levels.alpha, levels.sigma, alpha, sigma))
    ahead = first_order_step(x, clean, levels)

    def guess(path: Tensor, delta: Tensor, scale: Tensor, time: Tensor) -> Tensor:
        """Return how the guess at a distance from the path differs from the first one."""
        here = torch.where(where, path + scale * delta, path).to(x.dtype)
        return denoiser(here, time) - clean

    zero = torch.zeros_like(tau)
    second = -guess(middle, zero, zero, middle_time) / middle_tau
    delta = step / 2 * second
    third = (delta - guess(middle, delta, alpha + sigma, middle_time)) / middle_tau
    delta, scale = step * third, levels.next_alpha + levels.next_sigma
    fourth = (delta - guess(ahead, delta, scale, state.next_time)) / next_tau
    delta = step / 6 * (2 * second + 2 * third + fourth)
    return torch.where(where, ahead + scale * delta, ahead).to(x.dtype)


def start_order(order: int, start: Start) -> int:
    """Return the order that a multistep method of `order` has after a start.

    The first step is made once, so an error of `h^k` in it is one of `h^k` in the end: Euler's
    `h^2` leaves order 2, Heun's `h^3` (and as much in the second step, of two points) order 3.

    Raises:
        ValueError: If the start is unknown.
    """
    limits = {"euler": 2, "heun": 3, "rk4": 5}
    if start not in limits:
        raise ValueError(f"start must be one of {', '.join(limits)}, got {start!r}")
    return min(order, limits[start])


def started(
    x: Tensor,
    clean: Tensor,
    nodes: Nodes,
    levels: Levels,
    start: Start,
    points: int,
    ask: tuple[Denoiser, State, NoiseSchedule],
) -> Tensor:
    """Return the multistep result `x`, replaced by a better step where its history is too short.

    Args:
        x: What the multistep method gives: of a lower order where it has fewer points.
        clean: The guess at the start of the step.
        nodes: The earlier points.
        levels: The step.
        start: "euler" leaves it; "heun" replaces it where no earlier point is usable; "rk4" where
            fewer than `points` are.
        points: Earlier points that the full order needs.
        ask: The denoiser, where the walk stands, and what its times mean.
    """
    needed = {"euler": 0, "heun": min(1, points), "rk4": points}[start]
    if needed == 0:
        return x
    enough = nodes.usable[needed - 1] if len(nodes.usable) >= needed else False
    missing = levels.inner & ~torch.as_tensor(enough, device=x.device)
    if not bool(missing.any()):
        return x
    denoiser, state, schedule = ask
    if start == "heun":
        better = heun_step(denoiser, state, levels, clean, missing)
    else:
        better = rk4_step(denoiser, state, schedule, levels, clean, missing)
    return torch.where(missing, better, x)
