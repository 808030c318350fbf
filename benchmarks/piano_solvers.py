"""Which sampler suits a trained network: the piano demo's notes by solver, grid and net calls.

python benchmarks/piano_solvers.py --runs runs --run demo

Needs a run that `python tools/dev.py demo` has trained; without one it says so and stops.
"""

from __future__ import annotations

import argparse
import sys
from itertools import product

from _results import import_recipes, report

import_recipes()

from choices import GRIDS, SAMPLERS  # noqa: E402  (the recipes' folder was unknown before)
from recipe import Trained, load_run  # noqa: E402
from score_piano import TRAINED, Asked, notes_to_ask, pitch_right, words  # noqa: E402

from audio_diffusion_pytorch.metrics import (  # noqa: E402
    estimate_pitch,
    log_spectral_distance,
    rms_db,
)
from audio_diffusion_pytorch.training import MadeSounds, make_sounds  # noqa: E402

CALLS = (8, 16, 32)
CHOSEN = ("euler", "heun", "dpmpp_2m", "dpmpp_3m", "unipc", "deis", "euler_ancestral",
          "dpmpp_2m_sde")  # fmt: skip
CHOSEN_GRIDS = ("linear", "even", "exponential")
HEAD = ("sampler", "grid", *(f"{calls} calls: pitch, distance, level" for calls in CALLS))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--runs", default="runs", help="where the runs are")
    parser.add_argument("--run", default="demo", help="run folder or experiment")
    parser.add_argument("--seed", type=int, default=0, help="of the start noise")
    options = parser.parse_args()
    try:
        trained = load_run(options.run, options.runs, "cpu")
    except FileNotFoundError as error:
        print(f"nothing to measure ({error}): train with python tools/dev.py demo first")
        return 0
    asked = notes_to_ask(trained)
    rows, figures = [], []
    for sampler, grid in product(CHOSEN, CHOSEN_GRIDS):
        cells = [measure(trained, asked, sampler, grid, calls, options.seed) for calls in CALLS]
        texts = [f"{c['pitch']:.1f} %, {c['distance']:.2f} dB, {c['level']:.1f}" for c in cells]
        rows.append((sampler, grid, *texts))
        figures += cells
        print("  ".join(rows[-1]), file=sys.stderr, flush=True)
    report("piano_solvers", HEAD, rows, figures)
    print(f"the real notes are at {float(rms_db(asked.real[:, None]).mean()):.1f} dBFS")
    return 0


def measure(
    trained: Trained, asked: Asked, sampler: str, grid: str, calls: int, seed: int
) -> dict[str, float | str | int]:
    """Return the figures of one row and column."""
    made = within_calls(trained, asked, sampler, grid, calls, seed)
    sounds = made.audio[:, 0]
    notes = [note for note, _ in words(trained, asked.labels)]
    right = pitch_right(estimate_pitch(sounds, made.sample_rate).frequency, notes).float()
    distance = log_spectral_distance(sounds, asked.real)
    return {
        "sampler": sampler,
        "grid": grid,
        "calls": calls,
        "steps": made.steps,
        "pitch": 100 * float(right.mean()),
        "pitch_held_back": 100 * float(right[TRAINED:].mean()),
        "distance": float(distance.mean()),
        "distance_held_back": float(distance[TRAINED:].mean()),
        "level": float(rms_db(made.audio).mean()),
        "seconds": made.seconds,
    }


def within_calls(
    trained: Trained, asked: Asked, sampler: str, grid: str, calls: int, seed: int
) -> MadeSounds:
    """Make the notes in as many steps as `calls` net calls allow."""
    solver = SAMPLERS[sampler]
    batch = len(asked.labels)
    for steps in range(calls // solver.net_calls + 1, 0, -1):  # the ends may cost fewer
        made = make_sounds(
            trained.model, 1, 256, 16000, steps, labels=asked.labels[:1], solver=solver,
            grid=GRIDS[grid](trained.model.diffusion.schedule),
        )  # fmt: skip
        if made.net_calls <= calls:
            break
    return make_sounds(
        trained.model, batch, asked.data.length, asked.data.sample_rate, steps, seed=seed,
        labels=asked.labels, batch_size=batch, solver=solver,
        grid=GRIDS[grid](trained.model.diffusion.schedule),
    )  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
