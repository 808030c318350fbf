"""How far few steps are off under strong guidance, with and without a bound on the guess.

python benchmarks/guided_solvers.py

Two classes of one width at -1 and 1, guided towards the second, on the half circle with steps even
in log-SNR; a figure is the largest error over 99 start values against a walk in 300 steps. It is
the bed of `tests/diffusion/test_guided_solvers.py`; seconds on a CPU.
"""

from __future__ import annotations

import argparse

import torch
from _results import report
from torch import Tensor

from audio_diffusion_pytorch.diffusion import sample
from audio_diffusion_pytorch.diffusion.closed_form import GaussianMixture
from audio_diffusion_pytorch.diffusion.grids import ExponentialSchedule
from audio_diffusion_pytorch.diffusion.guidance import BaseGuidance, ClassifierFreeGuidance
from audio_diffusion_pytorch.diffusion.noise_schedules import HalfCircle
from audio_diffusion_pytorch.diffusion.solvers import RK4, DPMpp2M, Euler, Heun, UniPC
from audio_diffusion_pytorch.diffusion.thresholding import StaticThreshold
from audio_diffusion_pytorch.ops.shapes import lift
from audio_diffusion_pytorch.protocols import Solver

SCHEDULE = HalfCircle()
GRID = ExponentialSchedule(SCHEDULE, low=-8.0, high=10.0)
LIMIT, STD, SCALES = 1.5, 0.5, (5.0, 10.0, 15.0)
SOLVERS: dict[str, Solver] = {
    "Euler()": Euler(), "Heun()": Heun(), "DPMpp2M()": DPMpp2M(), "UniPC(1)": UniPC(1),
    "UniPC(2)": UniPC(2), "UniPC(3)": UniPC(3),
}  # fmt: skip
CALLS = (8, 12, 16, 32)
BOTH, SECOND = GaussianMixture([0.5, 0.5], [-1, 1], [STD] * 2), GaussianMixture([1], [1], [STD])


def denoise(x: Tensor, time: Tensor, *, labels: Tensor) -> Tensor:
    """Return the perfect guess: of the second class where there is a label, else of both."""
    alpha, sigma = (lift(v, x) for v in SCHEDULE.alpha_sigma(time))
    known = lift(labels, x) >= 0
    return torch.where(
        known, SECOND.denoise(x, alpha, sigma), BOTH.denoise(x, alpha, sigma)
    )  # fmt: skip


def walk(guidance: BaseGuidance, solver: Solver, steps: int) -> Tensor:
    """Return 99 quantiles of noise, walked in that many steps."""
    noise = (2 * torch.arange(1, 100) / 100 - 1).erfinv() * 2**0.5
    denoiser = guidance(denoise, {"labels": torch.ones(1)}, {"labels": -torch.ones(1)})
    return sample(denoiser, noise.reshape(1, 1, -1), GRID(steps + 1), solver, SCHEDULE)


def steps_within(solver: Solver, calls: int) -> int:
    """Return how many steps of a solver cost at most `calls`: the last one is always a single."""
    return 1 + (calls - 1) // solver.net_calls


def main() -> None:
    """Measure everything and print the table."""
    argparse.ArgumentParser(description=__doc__.split("\n")[0]).parse_args()
    torch.set_default_dtype(torch.float64)  # the grids give their times in it
    figures, rows = [], []
    for scale in SCALES:
        plain = ClassifierFreeGuidance(scale)
        kinds = {"": plain, f", limit {LIMIT:g}": StaticThreshold(plain, limit=LIMIT)}
        exact = {kind: walk(guidance, RK4(), 300) for kind, guidance in kinds.items()}
        for name, solver in SOLVERS.items():
            cells = []
            for calls in CALLS:
                for kind, guidance in kinds.items():
                    made = walk(guidance, solver, steps_within(solver, calls))
                    error = float((made - exact[kind]).abs().max())
                    cells.append(f"{error:.2g}")
                    figures.append({
                        "solver": name, "scale": scale, "calls": calls, "bounded": bool(kind),
                        "error": error,
                    })  # fmt: skip
            rows.append([name, f"{scale:g}", *cells])
    head = [f"{calls} calls{kind}" for calls in CALLS for kind in kinds]
    report("guided_solvers", ["solver", "scale", *head], rows, figures)


if __name__ == "__main__":
    main()
