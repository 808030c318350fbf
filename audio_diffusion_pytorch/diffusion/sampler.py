"""The one sampling loop: every solver, grid and constraint runs through it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor
from tqdm.auto import tqdm

from audio_diffusion_pytorch.ops.random import randn_like
from audio_diffusion_pytorch.protocols import (
    Constraint,
    Denoiser,
    NoiseSchedule,
    NoiseSource,
    Solver,
    State,
)

Callback = Callable[[State], None]


def _global_noise(x: Tensor, time: Tensor, next_time: Tensor) -> Tensor:  # noqa: ARG001
    return randn_like(x)


@torch.no_grad()
def sample(
    denoiser: Denoiser,
    x: Tensor,
    times: Tensor,
    solver: Solver,
    schedule: NoiseSchedule,
    *,
    noise: NoiseSource | None = None,
    constraint: Constraint | None = None,
    callback: Callback | None = None,
    show_progress: bool = False,
) -> Tensor:
    """Walk `x` from the first time to the last and return it there.

    Args:
        denoiser: Guesses the clean signal; conditioning bound.
        x: Signal `(b, c, *t)` at the level `times[0]`; pure noise where that is 1.
        times: `n + 1` falling values in 0..1, `(n + 1,)` or `(n + 1, b, 1, *t)`, for exactly `n`
            steps; nothing is appended. The result is clean only if the last is 0.
        solver: Makes the steps.
        schedule: What the times mean.
        noise: Gives stochastic solvers their noise; default torch's global generator.
        constraint: Plans the walk and corrects each state.
        callback: Called with the state after each step.
        show_progress: Show a progress bar.

    Returns:
        The signal `(b, c, *t)` at `times[-1]`.

    Raises:
        ValueError: If there are fewer than two times, or they do not fall, or leave 0..1.
    """
    times = check_times(times, x)
    source: NoiseSource = _global_noise if noise is None else noise
    count = len(times) - 1
    plan = [(i, i + 1) for i in range(count)] if constraint is None else constraint.plan(times)
    state = State(x, times[0], times[0])
    for here, there in tqdm(list(plan), disable=not show_progress, desc="sampling"):
        state = replace(state, time=times[here], next_time=times[there])
        state = solver.step(denoiser, state, schedule, source)
        if constraint is not None:
            state = constraint.apply(state, schedule, source)
        if callback is not None:
            callback(state)
    return state.x


def check_times(times: Tensor, x: Tensor) -> Tensor:
    """Return the times as `(n + 1, b)` or `(n + 1, b, 1, *t)`; refuse what no solver can walk.

    Raises:
        ValueError: If there are fewer than two times, or they do not fall, or leave 0..1.
    """
    if len(times) < 2:
        raise ValueError(f"sampling needs at least 1 step (2 times), got {len(times)} times")
    if not bool(((times >= 0) & (times <= 1)).all()):
        low, high = float(times.min()), float(times.max())
        raise ValueError(f"times must lie in 0..1 (1 is pure noise), got {low:.4g}..{high:.4g}")
    if times.ndim == 1:
        if not bool((times.diff() < 0).all()):
            raise ValueError(
                "times must fall from noise (1) to clean (0) at every step, got a grid that "
                f"starts at {float(times[0]):.4g} and ends at {float(times[-1]):.4g}"
            )
        times = times[:, None].expand(len(times), len(x))
    return times.to(torch.promote_types(x.dtype, torch.float32))
