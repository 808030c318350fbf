"""Which solver comes nearest to the exact result for the same number of network calls."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from audio_diffusion_pytorch.diagnostics.finding import Finding, Severity
from audio_diffusion_pytorch.diagnostics.observation import Sampling
from audio_diffusion_pytorch.diagnostics.report import CurvePlot
from audio_diffusion_pytorch.diagnostics.trajectory import decibels, sample_quietly
from audio_diffusion_pytorch.diagnostics.trajectory.words import beside
from audio_diffusion_pytorch.diffusion.solvers import DPMpp2M, Euler, Heun, UniPC
from audio_diffusion_pytorch.protocols import Solver

CALLS = (8, 16, 32)
EXACT_STEPS = 120
"""Steps of `UniPC` that stand for the exact result."""
ROUGH = -6.0
"""dB: an error of half the sound's amplitude is another sound."""
BETTER = 10.0
"""dB by which another solver must be nearer to be recommended: a third of the error."""


def check_solver_sweep(
    model: nn.Module,
    sampling: Sampling,
    *,
    num_steps: int = 30,
    num_items: int = 4,
    calls: Sequence[int] = CALLS,
    seconds: float = 10.0,
    seed: int = 0,
) -> Finding | None:
    """Sample with Euler, Heun, DPM++ 2M and UniPC at equal network calls ("a rough solver").

    The error is the distance to the exact result from the same start noise: that of 120 steps of
    `UniPC`. The solver of `model.sampler` is replaced for that and put back.

    Args:
        model: Has a `sampler` with a `solver`.
        sampling: How it is sampled; it must leave the solver to the sampler.
        num_steps: Steps with which the model is used.
        num_items: Sounds to make.
        calls: Network calls per sound.
        seconds: Of time: before work that would take longer the sweep stops.
        seed: Of the generator.

    Returns:
        None where the solver cannot be replaced, or the exact result would take too long.
    """
    sampler = getattr(model, "sampler", None)
    own: Solver | None = getattr(sampler, "solver", None)
    if not isinstance(sampler, nn.Module) or own is None or not hasattr(own, "step"):
        return None
    solvers: Mapping[str, Solver] = {
        "Euler": Euler(), "Heun": Heun(), "DPMpp2M": DPMpp2M(), "UniPC": UniPC(),
    }  # fmt: skip
    started = time.monotonic()

    def make(solver: Solver, steps: int) -> Tensor:
        with solved_by(sampler, solver):
            return sample_quietly(model, sampling, num_items, steps, seed)

    make(solvers["Euler"], 2)
    began = time.monotonic()
    few, rough = make(solvers["UniPC"], 4), make(solvers["Euler"], 4)
    per_call = (time.monotonic() - began) / 8
    if torch.equal(few, rough) or per_call * EXACT_STEPS > seconds - (began - started):
        return None
    exact = make(solvers["UniPC"], EXACT_STEPS)
    errors: dict[str, dict[int, float]] = {name: {} for name in solvers}
    for count in calls:
        if time.monotonic() - started + per_call * count * len(solvers) > seconds:
            break
        for name, solver in solvers.items():
            steps = max(1, count // getattr(solver, "net_calls", 1))
            errors[name][count] = _error(make(solver, steps), exact)
    own_error = None if own.order is None else _error(make(own, num_steps), exact)
    return _judge(errors, type(own).__name__, own_error, num_steps)


@contextmanager
def solved_by(sampler: nn.Module, solver: Solver) -> Iterator[None]:
    """Within this context a sampler steps by another solver; afterwards by its own again."""
    own = sampler.solver
    sampler.solver = solver  # type: ignore[assignment]
    try:
        yield
    finally:
        sampler.solver = own


def _error(audio: Tensor, exact: Tensor) -> float:
    error = float((audio - exact).double().square().mean())
    return decibels(error, float(exact.double().square().mean()), 10.0)


def _judge(
    errors: dict[str, dict[int, float]], own: str, own_error: float | None, num_steps: int
) -> Finding | None:
    counts = list(errors["UniPC"])
    if not counts:
        return None
    most = counts[-1]
    best = min(errors, key=lambda name: errors[name][most])
    figures: dict[str, float | str] = {
        f"{name} at {count} calls, dB": value
        for name, line in errors.items()
        for count, value in line.items()
    }
    curve = CurvePlot(
        "Error of solvers",
        {name: (list(line), list(line.values())) for name, line in errors.items()},
        log=False, x_label="network calls", y_label="dB against the exact result",
    )  # fmt: skip
    table = ", ".join(f"{name} {line[most]:.0f} dB" for name, line in errors.items())
    message = f"at {most} network calls the errors are {table}"
    verdict: Severity = "ok"
    remedy = ""
    if own_error is not None:
        figures["own error, dB"] = own_error
        said, bound = beside(own_error, ROUGH, 0)
        message += f"; {own} as used, {num_steps} steps, {said} dB (right is under {bound} dB)"
        if own_error > ROUGH and errors[best][most] < own_error - BETTER:
            verdict = "suspicious"
            enough = max(most, 2 * num_steps)
            more = f"more sampling steps (sample.steps={enough})"
            remedy = f"take {more}" if best == own else f"set solver={best}(), or take {more}"
    return Finding("solver sweep", verdict, message, remedy, figures, (curve,))
