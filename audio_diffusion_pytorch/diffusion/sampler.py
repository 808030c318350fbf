"""The one sampling loop: every solver, grid and constraint runs through it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor
from tqdm.auto import tqdm

from audio_diffusion_pytorch.ops.random import randn_like
from audio_diffusion_pytorch.ops.shapes import lift
from audio_diffusion_pytorch.protocols import (
    Constraint,
    Denoiser,
    NoiseSchedule,
    NoiseSource,
    Solver,
    State,
    StepDenoiser,
)

from .checks import check_part, check_row, check_signal

Callback = Callable[[State], None]


def _global_noise(x: Tensor, time: Tensor, next_time: Tensor) -> Tensor:  # noqa: ARG001
    return randn_like(x)


@torch.no_grad()
def sample(
    denoiser: Denoiser | StepDenoiser,
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
        times: `n + 1` falling values in 0..1, `(n + 1,)`, `(n + 1, b)` or `(n + 1, b, 1, *t)`, for
            exactly `n` steps; nothing is appended. The result is clean only if the last is 0.
            Times per item or position may also stand still: there the signal stays as it is.
        solver: Makes the steps.
        schedule: What the times mean.
        noise: Gives stochastic solvers (and a constraint that goes back up) their noise; default
            torch's global generator. A constraint that goes back up needs noise that is fresh at
            each visit: a source that repeats itself (it says so by an attribute `repeats`) would
            give back what it gave there before.
        constraint: Plans the walk and corrects each state. Where its plan goes back up, the
            signal is noised anew by the exact forward kernel, and multistep solvers start afresh.
        callback: Called with the state after each step.
        show_progress: Show a progress bar.

    Returns:
        The signal `(b, c, *t)` at `times[-1]`.

    Raises:
        ValueError: If there are fewer than two times, or they do not fall, or leave 0..1; if the
            signal is of whole numbers, a part is not of its kind, or the plan goes back up and the
            noise repeats itself.
    """
    check_part("solver", solver, "step", "Euler()")
    times = check_times(times, x)
    source: NoiseSource = _global_noise if noise is None else noise
    check_part("noise", source, "__call__", "GaussianNoise(generator)")
    plan = _plan(times, constraint)
    if getattr(source, "repeats", False) and any(there < here for here, there in plan):
        raise ValueError(
            f"{type(constraint).__name__} goes back up and needs fresh noise there, got "
            f"{type(source).__name__}, which repeats itself: pass noise=GaussianNoise(generator)"
        )
    state = State(x, times[0], times[0])
    stands_still = times.ndim > 1 and bool((times.diff(dim=0) == 0).any())
    for here, there in tqdm(plan, disable=not show_progress, desc="sampling"):
        before = replace(state, time=times[here], next_time=times[there])
        if there < here:
            state = renoise(before, schedule, source)
        else:
            state = solver.step(_in_step(denoiser, before, schedule), before, schedule, source)
        if stands_still:
            still = lift(before.time == before.next_time, x)
            state = replace(state, x=torch.where(still, before.x, state.x))
        if constraint is not None:
            state = constraint.apply(state, schedule, source)
        if callback is not None:
            callback(state)
    return state.x


def _plan(times: Tensor, constraint: Constraint | None) -> list[tuple[int, int]]:
    if constraint is None:
        return [(i, i + 1) for i in range(len(times) - 1)]
    check_part("constraint", constraint, "plan", "Inpainting(known, mask)")
    return list(constraint.plan(times))


def _in_step(denoiser: Denoiser | StepDenoiser, state: State, schedule: NoiseSchedule) -> Denoiser:
    return denoiser.for_step(state, schedule) if isinstance(denoiser, StepDenoiser) else denoiser


def renoise(state: State, schedule: NoiseSchedule, noise: NoiseSource) -> State:
    """Return the state at the noisier level `state.next_time`, by the exact forward kernel.

    `x' = alpha' / alpha x + sqrt(sigma'^2 - (alpha' / alpha sigma)^2) noise`, so that `x'` is
    distributed as if the clean signal had been noised to that level at once.

    Source: Kingma et al. 2021, arXiv 2107.00630, eq. 2 and appendix A.1.
    """
    x = state.x
    alpha, sigma = (lift(v, x) for v in schedule.alpha_sigma(state.time))
    next_alpha, next_sigma = (lift(v, x) for v in schedule.alpha_sigma(state.next_time))
    gain = next_alpha / alpha
    spread = (next_sigma**2 - (gain * sigma) ** 2).clamp_min(0).sqrt()
    drawn = noise(x, state.time, state.next_time)
    x = gain.to(x.dtype) * x + spread.to(x.dtype) * drawn
    return replace(state, x=x, time=state.next_time, memory=())


def check_times(times: Tensor, x: Tensor) -> Tensor:
    """Return the times as `(n + 1, b)` or `(n + 1, b, 1, *t)`; refuse what no solver can walk.

    Raises:
        ValueError: If there are fewer than two times, or they do not fall, or leave 0..1; if the
            signal is of whole numbers.
    """
    check_signal(x)
    check_row(times)
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
    elif bool((times.diff(dim=0) > 0).any()):
        raise ValueError("times per item or position must fall or stand still, got some that rise")
    per_item, per_position = (len(x),), (len(x), 1, *x.shape[2:])
    if tuple(times.shape[1:]) not in (per_item, per_position):
        raise ValueError(
            f"times must have shape (n,), (n, {len(x)}) or (n, {', '.join(map(str, per_position))})"
            f" for this signal of shape {tuple(x.shape)}, got {tuple(times.shape)}"
        )
    return times.to(torch.promote_types(x.dtype, torch.float32))
