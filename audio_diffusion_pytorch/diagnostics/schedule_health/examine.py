"""All checks of the noise levels: of training, of sampling, and of how the two fit together."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from audio_diffusion_pytorch.data.clip import Clip
from audio_diffusion_pytorch.diagnostics.finding import Finding
from audio_diffusion_pytorch.diagnostics.gathering import attempt
from audio_diffusion_pytorch.diagnostics.latent_health.clips import few_clips
from audio_diffusion_pytorch.diagnostics.observation import (
    Observation,
    Sampling,
    gaussian_diffusion,
    observe,
)
from audio_diffusion_pytorch.diffusion.grids import ListSchedule
from audio_diffusion_pytorch.diffusion.objectives import GaussianDiffusion
from audio_diffusion_pytorch.models.clip_loss import LossFunction, diffusion_loss
from audio_diffusion_pytorch.protocols import Grid

from .bounds import check_start_noise
from .consistency import check_parameterization, check_taught_target
from .coverage import check_batch_levels, check_level_coverage, draw_training_times
from .grid import check_sampling_grid
from .perfect import (
    PerfectWalk,
    check_levels_visited,
    check_noise_kept,
    check_perfect_network,
    walk_perfectly,
)
from .terminal import check_first_step, check_terminal_snr

MAX_CLIPS = 32
TAUGHT_CLIPS = 5
WALKED_STEPS = 8


def examine_schedule(
    model: nn.Module,
    clips: Clip | None = None,
    *,
    loss: LossFunction = diffusion_loss,
    sampling: Sampling | None = None,
    num_steps: int = 30,
    limit: float | None = None,
    seed: int = 0,
) -> list[Finding]:
    """Examine the noise schedule of a model, its training levels and its sampling grid.

    Args:
        model: Has a `diffusion`, a `GaussianDiffusion`, and for sampling a `sampler`.
        clips: Batched clips, audio `(b, c, t)`, for the level of the data; 32 of them are used.
            None takes unit variance for granted and leaves out what needs sounds.
        loss: As in training.
        sampling: How the model is sampled, if not by its own `sample`.
        num_steps: Steps to judge the sampling grid by.
        limit: Where the sampler of one's own clamps the noisy signal; None: nowhere.
        seed: Of all draws.

    Raises:
        ValueError: If the objective is no `GaussianDiffusion`.
    """
    diffusion = gaussian_diffusion(model)
    schedule, parameterization = diffusion.schedule, diffusion.parameterization
    seen = None if clips is None else _seen(model, clips, loss, seed)
    std = 1.0 if seen is None else float(seen.clean.float().square().mean().sqrt())
    std = std if std > 0 else 1.0  # silence is said by the checks of data
    found = attempt(check_terminal_snr, schedule, std)
    trained = draw_training_times(diffusion, seed)
    times, refused = _grid_times(model, num_steps)
    walk = None if seen is None else _walk(model, seen, sampling, seed)
    if times is not None and _can_be_walked(times):
        found += attempt(check_first_step, schedule, times, std, parameterization)
        found += attempt(check_level_coverage, trained, times[:-1], schedule, std)
    elif walk is not None:
        visited = torch.tensor(walk.times, dtype=torch.float64)
        found += attempt(check_level_coverage, trained, visited, schedule, std)
    found += attempt(check_batch_levels, trained)
    if refused:
        found.append(_refused(num_steps, refused))
    elif times is not None:
        asked = len(times) - 1 if _is_list(model) else num_steps
        found += attempt(check_sampling_grid, times, schedule, asked, std)
    found += _bounds(diffusion, walk, limit)
    found += attempt(check_parameterization, parameterization, schedule, seed)
    if clips is not None:
        few = few_clips(model, clips, TAUGHT_CLIPS)
        found += attempt(check_taught_target, model, few, loss=loss, seed=seed)
    if walk is not None:
        steps = _walked_steps(model)
        found += attempt(check_levels_visited, walk, steps)
        found += attempt(check_perfect_network, walk)
    return found


def _seen(model: nn.Module, clips: Clip, loss: LossFunction, seed: int) -> Observation:
    few = few_clips(model, clips, MAX_CLIPS)
    return observe(model, few, torch.full((len(few.audio),), 0.5), loss=loss, seed=seed)


def _walk(
    model: nn.Module, seen: Observation, sampling: Sampling | None, seed: int
) -> PerfectWalk | None:
    """Return what the sampler does, or None where it cannot be called in this way."""
    if sampling is None and not hasattr(model, "sampler"):
        return None
    # A grid that cannot be walked is said by its own check; and a model may be sampled in another
    # way than its network is asked in training.
    refusals = (ValueError,) if sampling is not None else (ValueError, TypeError, RuntimeError)
    try:
        return walk_perfectly(model, seen, _walked_steps(model), sampling=sampling, seed=seed)
    except refusals:
        return None


def _bounds(
    diffusion: GaussianDiffusion,
    walk: PerfectWalk | None,
    limit: float | None,
) -> list[Finding]:
    found = []
    if limit is not None:
        last = torch.ones(1, dtype=torch.float64)
        found.append(check_start_noise(limit, float(diffusion.schedule.alpha_sigma(last)[1])))
    elif walk is not None:
        found.append(check_noise_kept(walk))
    return found


def _grid_of(model: nn.Module) -> Grid | None:
    """Return the grid of a model's sampler, by either of its names."""
    sampler: Any = getattr(model, "sampler", None)
    for name in ("grid", "schedule"):
        part = getattr(sampler, name, None)
        if callable(part) and not hasattr(part, "alpha_sigma"):
            grid: Grid = part
            return grid
    return None


def _is_list(model: nn.Module) -> bool:
    grid = _grid_of(model)
    return isinstance(grid, ListSchedule) and not grid.interpolate


def _walked_steps(model: nn.Module) -> int:
    grid = _grid_of(model)
    if isinstance(grid, ListSchedule) and not grid.interpolate:
        return len(grid.times) - 1
    return WALKED_STEPS


def _grid_times(model: nn.Module, num_steps: int) -> tuple[Tensor | None, str]:
    """Return what the grid gives, and why it gives nothing."""
    grid = _grid_of(model)
    if grid is None:
        return None, ""
    steps = _walked_steps(model) if _is_list(model) else num_steps
    try:
        return grid(steps + 1, torch.device("cpu")), ""
    except ValueError as error:
        return None, " ".join(str(error).split())


def _can_be_walked(times: Tensor) -> bool:
    inside = len(times) > 1 and bool(((times >= 0) & (times <= 1)).all())
    return inside and bool((times.diff() < 0).all())


def _refused(num_steps: int, why: str) -> Finding:
    return Finding(
        "sampling grid", "wrong", f"the grid makes no times for {num_steps} steps: {why}",
        "let the sampler make its times: LinearSchedule(), EvenLevels(schedule) or "
        "ExponentialSchedule(schedule)", {"steps_asked": float(num_steps)},
    )  # fmt: skip
