"""Starting from a signal instead of noise: variations, restyling, cleaning up."""

from __future__ import annotations

import torch
from torch import Tensor

from audio_diffusion_pytorch.protocols import (
    Constraint,
    Denoiser,
    NoiseSchedule,
    NoiseSource,
    Solver,
)

from .checks import check_row, check_signal
from .denoiser import levels_at
from .noise import GaussianNoise
from .sampler import Callback, sample


def start_from(
    signal: Tensor,
    times: Tensor,
    strength: float,
    schedule: NoiseSchedule,
    noise: NoiseSource | None = None,
) -> tuple[Tensor, Tensor]:
    """Return a signal noised to where a walk of this strength begins, and the times that are left.

    The strength is a noise level: the walk begins at that time of the grid which is nearest to
    it, so the same strength is the same level on every grid, and never one outside the grid.

    Args:
        signal: Clean `(b, c, *t)`.
        times: Falling times of a whole walk `(n + 1,)`.
        strength: 0 (the signal itself) .. 1 (the start of the grid, without any of the signal).
        schedule: What the times mean.
        noise: Gives the noise; default torch's global generator.

    Returns:
        The noisy signal and the times from its level on: at least one, and only that one where
        nothing is left to walk.

    Raises:
        ValueError: If the strength leaves 0..1, the times are not one falling row, or the signal is
            of whole numbers.

    Source: Meng et al. 2022, "SDEdit", arXiv 2108.01073, algorithm 1.
    """
    if not 0 <= strength <= 1:
        raise ValueError(f"strength must lie in 0 (unchanged) .. 1 (all anew), got {strength}")
    check_signal(signal)
    check_row(times)
    if times.ndim != 1 or len(times) < 2 or not bool((times.diff() < 0).all()):
        raise ValueError(
            f"times must be one falling row of 2 or more, got shape {tuple(times.shape)}"
        )
    start = int((times - strength).abs().argmin())
    left = times[start:].to(signal.device)
    if strength == 0:
        return signal.clone(), left
    level = left[:1].expand(len(signal))
    alpha, sigma = levels_at(schedule, level, signal)
    if not bool(sigma.any()):
        return signal.clone(), left
    # From the top level down: the noise a path has there.
    source = GaussianNoise() if noise is None else noise
    drawn = sigma * source(signal, torch.ones_like(level), level)
    return drawn if strength == 1 else alpha * signal + drawn, left


def vary(
    denoiser: Denoiser,
    signal: Tensor,
    times: Tensor,
    solver: Solver,
    schedule: NoiseSchedule,
    *,
    strength: float,
    noise: NoiseSource | None = None,
    constraint: Constraint | None = None,
    callback: Callback | None = None,
    show_progress: bool = False,
) -> Tensor:
    """Return a variation of a signal: noised to a level, and sampled from there.

    Only the steps below that level are made: about `strength` of them on a linear grid.

    Args:
        denoiser: Guesses the clean signal; conditioning bound.
        signal: Clean `(b, c, *t)`.
        times: Falling times of a whole walk `(n + 1,)`, as for `sample`.
        solver: Makes the steps.
        schedule: What the times mean.
        strength: How far to go: 0 returns the signal unchanged, 1 ignores it. It is a time, the
            noise level that the signal is lifted to.
        noise: Gives the start its noise, and stochastic solvers theirs; default torch's global
            generator.
        constraint: Keeps to something known.
        callback: Called with the state after each step.
        show_progress: Show a progress bar.

    Raises:
        ValueError: If the strength leaves 0..1; as `sample`.
    """
    x, left = start_from(signal, times, strength, schedule, noise)
    if len(left) < 2 or strength == 0:
        return x
    return sample(
        denoiser,
        x,
        left,
        solver,
        schedule,
        noise=noise,
        constraint=constraint,
        callback=callback,
        show_progress=show_progress,
    )
