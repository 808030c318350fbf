"""How near each solver comes to the data with 6 to 100 net calls, on every grid of times.

python benchmarks/solver_accuracy.py

The data are three modes apart from one another, whose perfect denoiser is a formula, so that what
is left is the solver's own error: the mean distance between the quantiles of what it makes and
those of the data (Wasserstein-1; the data deviate by 1.14). Calls are counted, not computed: a
solver with two calls a step takes half the steps, and what it needs to start is paid for.

The grids: "exponential" and "Karras" from sigma 80 to 0.002 and then 0, as in EDM; "narrow" is
exponential from 20 to 0.018 (log-SNR -6 to 8) and then 0; "linear" is even in the angle of the
half circle, from pure noise to 0: what `VSampler` walks by default; "even levels" is even in
`sigma / (alpha + sigma)`: what `DiffusionSampler` walks.

A second table is for guidance: the mode on the right is asked for, at a scale. Its exact result is
not known in closed form, so it shows the mean distance to a walk in 500 steps from the same noise.
"""

from __future__ import annotations

import argparse
from math import log
from pathlib import Path
from typing import NamedTuple

import torch
from _results import RESULTS, report
from torch import Tensor

from audio_diffusion_pytorch.diffusion import sample
from audio_diffusion_pytorch.diffusion.closed_form import SEPARATED, GaussianMixture
from audio_diffusion_pytorch.diffusion.grids import (
    EvenLevels,
    ExponentialSchedule,
    KarrasSchedule,
    LinearSchedule,
)
from audio_diffusion_pytorch.diffusion.noise import GaussianNoise
from audio_diffusion_pytorch.diffusion.noise_schedules import HalfCircle
from audio_diffusion_pytorch.diffusion.solvers import (
    DEIS,
    DPM2,
    LMS,
    RK4,
    DPMpp2M,
    DPMpp2S,
    DPMpp3M,
    DPMppSDE,
    Euler,
    EulerAncestral,
    Heun,
    UniPC,
)
from audio_diffusion_pytorch.protocols import Denoiser, Grid, Solver

BUDGETS = (6, 8, 12, 16, 24, 36, 64, 100)
GUIDED_BUDGETS, SCALES = (8, 12, 16, 24), (1.0, 3.0, 7.0, 15.0)
SIGMA_MAX, SIGMA_MIN = 80.0, 0.002
POINTS, DRAWS = 2000, 50000  # walks of a deterministic solver, of a stochastic one
SCHEDULE = HalfCircle()
GRIDS: dict[str, Grid] = {
    "exponential": ExponentialSchedule(SCHEDULE, -2 * log(SIGMA_MAX), -2 * log(SIGMA_MIN)),
    "Karras": KarrasSchedule(SIGMA_MIN, SIGMA_MAX, noise_schedule=SCHEDULE),
    "narrow": ExponentialSchedule(SCHEDULE, -6.0, 8.0),
    "linear": LinearSchedule(1.0, 0.0),
    "even levels": EvenLevels(SCHEDULE),
}


class Entry(NamedTuple):
    """A row of the table."""

    solver: Solver
    stochastic: bool = False
    plot: bool = False


SOLVERS = {
    "Euler": Entry(Euler(), plot=True),
    "Heun": Entry(Heun(), plot=True),
    "Heun(as_published=True)": Entry(Heun(as_published=True)),
    "DPM2": Entry(DPM2()),
    "DPMpp2S": Entry(DPMpp2S()),
    "RK4": Entry(RK4()),
    "DPMpp2M": Entry(DPMpp2M(), plot=True),
    'DPMpp2M("heun")': Entry(DPMpp2M("heun")),
    'DPMpp3M("exact3")': Entry(DPMpp3M("exact3")),
    'DPMpp3M("heun")': Entry(DPMpp3M("heun"), plot=True),
    'DPMpp3M("euler")': Entry(DPMpp3M("euler")),
    "DPMpp3M(as_published=True)": Entry(DPMpp3M(as_published=True), plot=True),
    "UniPC(1)": Entry(UniPC(1)),
    "UniPC(2)": Entry(UniPC(2), plot=True),
    "UniPC(3)": Entry(UniPC(3)),
    "DEIS(3)": Entry(DEIS(3), plot=True),
    "LMS(4)": Entry(LMS(4)),
    "EulerAncestral": Entry(EulerAncestral(), True, True),
    "DPM2(eta=1)": Entry(DPM2(eta=1.0), True),
    "DPMpp2S(eta=1)": Entry(DPMpp2S(eta=1.0), True),
    "DPMppSDE(2)": Entry(DPMppSDE(2), True, True),
    "DPMppSDE(3)": Entry(DPMppSDE(3), True),
}


class Counted:
    """The perfect denoiser, counting its calls."""

    def __init__(self) -> None:
        self.denoiser, self.calls = SEPARATED.denoiser(SCHEDULE), 0

    def __call__(self, x: Tensor, time: Tensor) -> Tensor:
        self.calls += 1
        return self.denoiser(x, time)


def gaussian_quantiles(count: int) -> Tensor:
    """Return the `count` middles of equally likely ranges of a standard normal, `(1, 1, count)`."""
    middles = (torch.arange(count, dtype=torch.float64) + 0.5) / count
    return torch.special.ndtri(middles).reshape(1, 1, -1)


def data_quantiles(count: int) -> Tensor:
    """Return the same of the data: the exact flow from pure noise to clean keeps quantiles."""
    one = torch.ones((), dtype=torch.float64)
    return SEPARATED.flow(gaussian_quantiles(count), SCHEDULE, one, 0 * one)


def walk(solver: Solver, grid: Grid, steps: int, x: Tensor, seed: int = 0) -> tuple[Tensor, int]:
    """Return the samples after `steps` steps from the noise `x`, and the net calls it took."""
    denoiser = Counted()
    noise = GaussianNoise(torch.Generator().manual_seed(seed))
    times = grid(steps + 1, x.device)
    return sample(denoiser, x, times, solver, SCHEDULE, noise=noise), denoiser.calls


def steps_within(solver: Solver, grid: Grid, calls: int) -> int:
    """Return the most steps that take at most so many net calls."""
    one = torch.zeros(1, 1, 1, dtype=torch.float64)
    steps = calls
    while (needed := walk(solver, grid, steps, one)[1]) > calls:
        steps -= max(1, (needed - calls) // (needed // steps + 1))
    return steps


def error(made: Tensor, true: Tensor) -> float:
    """Return the mean distance between the quantiles of what was made and the true ones."""
    return float((made.flatten().sort().values - true.flatten()).abs().mean())


def measure(name: str, spacing: str) -> list[dict[str, object]]:
    """Return the figures of one solver on one grid, one entry for each budget."""
    solver, stochastic, _ = SOLVERS[name]
    count = DRAWS if stochastic else POINTS
    start, true = gaussian_quantiles(count), data_quantiles(count)
    start = start.float() if stochastic else start  # chance is the larger error there
    figures = []
    for budget in BUDGETS:
        steps = steps_within(solver, GRIDS[spacing], budget)
        made, calls = walk(solver, GRIDS[spacing], steps, start)
        figures.append({
            "solver": name, "grid": spacing, "budget": budget, "steps": steps, "net_calls": calls,
            "wasserstein": error(made, true),
        })  # fmt: skip
    return figures


def guided(scale: float) -> Denoiser:
    """Return a denoiser that is guided to the mode on the right."""
    mode = GaussianMixture((1.0,), SEPARATED.means[2:], SEPARATED.stds[2:])
    cond, null = mode.denoiser(SCHEDULE), SEPARATED.denoiser(SCHEDULE)
    return lambda x, time: null(x, time) + scale * (cond(x, time) - null(x, time))


def measure_guided(scale: float) -> list[dict[str, object]]:
    """Return the distance of every deterministic solver to a walk in many steps."""
    grid, start, figures = GRIDS["narrow"], gaussian_quantiles(400), []
    denoiser = guided(scale)
    fine = sample(denoiser, start, grid(501, start.device), UniPC(3), SCHEDULE)
    for name, (solver, stochastic, _) in SOLVERS.items():
        for budget in () if stochastic else GUIDED_BUDGETS:
            steps = steps_within(solver, grid, budget)
            made = sample(denoiser, start, grid(steps + 1, start.device), solver, SCHEDULE)
            figures.append({
                "solver": name, "scale": scale, "budget": budget, "steps": steps,
                "distance": float((made - fine).abs().mean()),
            })  # fmt: skip
    return figures


def floor_of_draws() -> float:
    """Return the error of true samples: what no stochastic solver can show to be beaten."""
    true, errors = data_quantiles(DRAWS), []
    for seed in range(8):
        generator = torch.Generator().manual_seed(seed)
        errors.append(error(SEPARATED.sample((1, 1, DRAWS), generator), true))
    return sum(errors) / len(errors)


def draw_plot(figures: list[dict], path: Path) -> None:
    """Draw the error over the net calls, a panel for each of the most different grids."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    shown = [name for name, entry in SOLVERS.items() if entry.plot]
    spacings = ("exponential", "narrow", "even levels")
    figure, axes = pyplot.subplots(1, 3, figsize=(10.5, 4.4), sharey=True, layout="constrained")
    for axis, spacing in zip(axes, spacings, strict=True):
        for number, name in enumerate(shown):
            row = [f for f in figures if (f["solver"], f["grid"]) == (name, spacing)]
            axis.loglog(
                [f["net_calls"] for f in row], [f["wasserstein"] for f in row],
                "--" if SOLVERS[name].stochastic else "-", marker="o", markersize=3,
                color=f"C{number}", label=name,
            )  # fmt: skip
        axis.set_title(f"{spacing} grid", fontsize=10)
        axis.set_xlabel("net calls")
        axis.set_xticks(BUDGETS, [str(budget) for budget in BUDGETS])
        axis.set_xticks([], minor=True)
        axis.set_ylim(2e-4, 1)
        axis.grid(alpha=0.3)
    axes[0].set_ylabel("Wasserstein-1 to the data")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=5)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=90, pil_kwargs={"optimize": True})
    pyplot.close(figure)


def main() -> None:
    """Measure everything, print the tables and draw the plot."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--plot", type=Path, default=RESULTS / "solver_accuracy.png")
    options = parser.parse_args()
    torch.set_default_dtype(torch.float64)  # the grids give their times in it
    figures, rows = [], []
    for spacing in GRIDS:
        for name in SOLVERS:
            made = measure(name, spacing)
            figures += made
            rows.append([name, spacing, *(f"{f['wasserstein']:.2g}" for f in made)])
    draw_plot(figures, options.plot)
    print(f"Wasserstein-1 to the data; {DRAWS} true samples would show {floor_of_draws():.2g}")
    report("solver_accuracy", ["solver", "grid", *map(str, BUDGETS)], rows, figures)
    figures, rows = [], []
    for scale in SCALES:
        made = measure_guided(scale)
        figures += made
        for name in dict.fromkeys(f["solver"] for f in made):
            row = [f"{f['distance']:.2g}" for f in made if f["solver"] == name]
            rows.append([name, f"{scale:g}", *row])
    print("Under guidance, narrow grid: mean distance to 500 steps")
    report("solver_accuracy_guided", ["solver", "scale", *map(str, GUIDED_BUDGETS)], rows, figures)
    print(f"plot: {options.plot}")


if __name__ == "__main__":
    main()
