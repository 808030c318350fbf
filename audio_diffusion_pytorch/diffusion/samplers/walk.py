"""What the samplers share: refusing what cannot run, the times to visit, the guided walk."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from torch import Tensor

from audio_diffusion_pytorch.diffusion.checks import check_part, check_row, check_whole
from audio_diffusion_pytorch.diffusion.denoiser import NetDenoise
from audio_diffusion_pytorch.diffusion.sampler import Callback, check_times, sample
from audio_diffusion_pytorch.protocols import (
    Constraint,
    Denoise,
    Denoiser,
    Grid,
    Guidance,
    NoiseSchedule,
    NoiseSource,
    Solver,
)


def check_method(solver: Solver, grid: Grid, grid_name: str = "grid") -> None:
    """Refuse a solver or a grid that is no object of its kind.

    Raises:
        ValueError: If one is not.
    """
    check_part("solver", solver, "step", "Euler()")
    check_part(grid_name, grid, "__call__", "LinearSchedule()")


def times_of(grid: Grid, num_steps: int | None, times: Tensor | None, x: Tensor) -> Tensor:
    """Return the times to walk, `(n + 1, b)` or `(n + 1, b, 1, *t)`: those given, or the grid's.

    Raises:
        ValueError: If there are no steps, the grid does not return `num_steps + 1` falling times in
            0..1, or `times` has another number of steps than asked for.
    """
    if times is None:
        if num_steps is None:
            raise ValueError("sampling needs num_steps, or the times themselves: got neither")
        check_whole("num_steps", num_steps)
        if num_steps < 1:
            raise ValueError(f"num_steps must be at least 1, got {num_steps}")
        check_part("grid", grid, "__call__", "LinearSchedule()")
        times = grid(num_steps + 1, x.device)
        if not isinstance(times, Tensor) or times.ndim != 1 or len(times) != num_steps + 1:
            got = tuple(times.shape) if isinstance(times, Tensor) else type(times).__name__
            raise ValueError(
                f"the grid must return a tensor of {num_steps + 1} times for {num_steps} steps, "
                f"got {got} from {type(grid).__name__}"
            )
    else:
        check_row(times)
        if num_steps is not None and num_steps != len(times) - 1:
            raise ValueError(
                f"{len(times)} times make {len(times) - 1} steps, got num_steps={num_steps}: leave "
                "num_steps out where times are given"
            )
    return check_times(times.to(x.device), x)


def walk(
    denoise: Denoise,
    schedule: NoiseSchedule,
    solver: Solver,
    x: Tensor,
    times: Tensor,
    cond: Mapping[str, Any],
    *,
    net: object = None,
    guidance: Guidance | None = None,
    null_cond: Mapping[str, Any] | None = None,
    noise: NoiseSource | None = None,
    constraint: Constraint | None = None,
    callback: Callback | None = None,
    show_progress: bool = False,
) -> Tensor:
    """Return `x (b, c, *t)` carried from the first of `times_of` to the last, guided.

    Where `net`, which `denoise` asks, offers `prepare`, it makes the condition ready once.

    Raises:
        ValueError: As `sample`; if guidance, noise or constraint are not of their kind.
    """
    denoise = NetDenoise(denoise, net)
    if guidance is None:
        bound: Denoiser = partial(denoise, **denoise.prepare(cond))
    else:
        check_part("guidance", guidance, "__call__", "ClassifierFreeGuidance(3.0)")
        bound = guidance(denoise, cond, null_cond or {})
    return sample(
        bound,
        x,
        times,
        solver,
        schedule,
        noise=noise,
        constraint=constraint,
        callback=callback,
        show_progress=show_progress,
    )
