"""Which sampler suits a trained network: a run's sounds by solver, grid and net calls.

python benchmarks/piano_solvers.py --runs runs --run demo

Of the run of `python tools/dev.py demo` the notes asked for are measured (share at the right pitch,
spectral distance to the real note, level); of a run without labels the set of sounds (Frechet
distance to the clips it was trained on, share with a clear pitch, level). Needs a trained run;
without one it says so and stops.
"""

from __future__ import annotations

import argparse
import math
import sys
from itertools import product

import torch
from _results import import_recipes, report

import_recipes()

from choices import GRIDS, SAMPLERS  # noqa: E402  (the recipes' folder was unknown before)
from score_piano import TRAINED, notes_to_ask, pitch_right, words  # noqa: E402
from trained import Trained, load_run  # noqa: E402

from audio_diffusion_pytorch.metrics import (  # noqa: E402
    FrechetDistance,
    SpectralEmbedding,
    estimate_pitch,
    log_spectral_distance,
    rms_db,
)
from audio_diffusion_pytorch.training import (  # noqa: E402
    MadeSounds,
    clip_batches,
    make_sounds,
    open_data,
)

CALLS = (8, 16, 32)
CHOSEN = ("euler", "heun", "dpmpp_2m", "dpmpp_3m", "unipc", "deis", "dpmpp_2m_sde")
CHOSEN_GRIDS = ("linear", "even", "exponential")
Row = dict[str, float | str | int]


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
    task = Notes(trained) if trained.labels.columns else Sounds(trained)
    rows, figures = [], []
    for sampler, grid in product(CHOSEN, CHOSEN_GRIDS):
        cells = []
        for calls in CALLS:
            made = within_calls(task, sampler, grid, calls, options.seed)
            cells.append({"sampler": sampler, "grid": grid, "calls": calls, "steps": made.steps,
                          "seconds": made.seconds, **task.measure(made)})  # fmt: skip
        rows.append((sampler, grid, *map(task.text, cells)))
        figures += cells
        print("  ".join(rows[-1]), file=sys.stderr, flush=True)
    head = ("sampler", "grid", *(f"{calls} calls: {task.head}" for calls in CALLS))
    report(f"piano_solvers_{type(task).__name__.lower()}", head, rows, figures)
    print(task.reference())
    return 0


class Notes:
    """The 96 notes of `score_piano.py`, asked for by label."""

    head = "right pitch, distance, level"

    def __init__(self, trained: Trained) -> None:
        self.trained, self.asked = trained, notes_to_ask(trained)
        self.labels = self.asked.labels
        self.num = len(self.labels)

    def measure(self, made: MadeSounds) -> Row:
        """Return pitch and distance note by note."""
        sounds = made.audio[:, 0]
        notes = [note for note, _ in words(self.trained, self.labels)]
        right = pitch_right(estimate_pitch(sounds, made.sample_rate).frequency, notes).float()
        distance = log_spectral_distance(sounds, self.asked.real)
        return {
            "pitch": 100 * float(right.mean()),
            "pitch_held_back": 100 * float(right[TRAINED:].mean()),
            "distance": float(distance.mean()),
            "distance_held_back": float(distance[TRAINED:].mean()),
            "level": float(rms_db(made.audio).mean()),
        }

    def text(self, row: Row) -> str:
        """Return a cell of the table."""
        return f"{row['pitch']:.1f} %, {row['distance']:.2f} dB, {row['level']:.1f}"

    def reference(self) -> str:
        """Say what the level should be."""
        return f"the real notes are at {float(rms_db(self.asked.real[:, None]).mean()):.1f} dBFS"


class Sounds:
    """A set of sounds without labels, beside the clips of the training."""

    head = "Frechet distance, clear pitch, level"
    labels, num = None, 96

    def __init__(self, trained: Trained) -> None:
        self.trained = trained
        data, held_back = open_data(trained.config.data, trained.config.train.seed)
        self.rate = data.sample_rate
        self.clips = torch.cat(list(clip_batches(data, 512)))
        self.held_back = None if held_back is None else torch.cat(list(clip_batches(held_back, 96)))

    def measure(self, made: MadeSounds) -> Row:
        """Return the figures of the set."""
        return self._figures(made.audio)

    def _figures(self, sounds: torch.Tensor) -> Row:
        distance = FrechetDistance(SpectralEmbedding(self.rate))
        distance.update(sounds, self.clips)
        clear = estimate_pitch(sounds[:, 0], self.rate).confidence > 0.5
        power = 10 ** (rms_db(sounds) / 10)
        return {
            "frechet": distance.compute(),
            "clear_pitch": 100 * float(clear.float().mean()),
            "level": 10 * math.log10(float(power.mean())),
        }

    def text(self, row: Row) -> str:
        """Return a cell of the table."""
        return f"{row['frechet']:.0f}, {row['clear_pitch']:.0f} %, {row['level']:.1f}"

    def reference(self) -> str:
        """Say what held-back recordings come to."""
        if self.held_back is None:
            return "no recordings were held back to compare with"
        return f"held-back clips: {self.text(self._figures(self.held_back))} dBFS"


def within_calls(
    task: Notes | Sounds, sampler: str, grid: str, calls: int, seed: int
) -> MadeSounds:
    """Make the sounds in as many steps as `calls` net calls allow."""
    model, data, solver = task.trained.model, task.trained.config.data, SAMPLERS[sampler]
    chosen = {"solver": solver, "grid": GRIDS[grid](model.diffusion.schedule)}
    one = None if task.labels is None else task.labels[:1]
    for steps in range(calls // solver.net_calls + 1, 0, -1):  # the ends may cost fewer
        tried = make_sounds(model, 1, 256, data.sample_rate, steps, labels=one, **chosen)
        if tried.net_calls <= calls:
            break
    return make_sounds(
        model, task.num, data.length, data.sample_rate, steps, seed=seed, labels=task.labels,
        batch_size=32, **chosen,
    )  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
