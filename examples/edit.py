"""Edit a recording with a trained model: vary it, fill a gap in it, or go on from its end.

python examples/edit.py note.wav --out edited --vary 0.6
python examples/edit.py note.wav --out edited --fill 0.2:0.5 --label 60:mf --num 4
python examples/edit.py note.wav --out edited --extend 3.0 --run demo
"""

from __future__ import annotations

import argparse
import sys
from functools import partial
from pathlib import Path

import torch
from edits import add_edit_flags, edit_asked
from trained import add_sampling_flags, load_run, sampling_asked

from audio_diffusion_pytorch.data import read_recording
from audio_diffusion_pytorch.training import (
    RecipeParser,
    generator_for,
    run_recipe,
    timed_sounds,
    write_sounds,
)


def read_options() -> argparse.Namespace:
    """Return what the command line asks for."""
    parser = RecipeParser(description=__doc__.split("\n")[0])
    parser.add_argument("file", type=Path, metavar="FILE", help="the recording, of any format")
    add_edit_flags(parser)
    parser.add_argument("--out", type=Path, required=True, help="folder for the sounds")
    parser.add_argument("--run", help="run folder or experiment (default: the newest run)")
    parser.add_argument("--runs", default="runs", help="where the runs are (train.runs)")
    parser.add_argument("--num", type=int, default=1, help="how many answers")
    parser.add_argument("--steps", type=int, help="default: the run's sample.steps")
    parser.add_argument("--seed", type=int, default=0, help="of the noise")
    parser.add_argument("--label", metavar="NOTE[:VELOCITY]", help="default: not told")
    add_sampling_flags(parser)
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, ...")
    options = parser.parse_args()
    if options.num < 1 or (options.steps is not None and options.steps < 1):
        parser.error("--num and --steps must be at least 1")
    return options


def main() -> None:
    """Edit the recording as often as asked, write the answers, and say how loud they are."""
    options = read_options()
    trained = load_run(options.run, options.runs, options.device)
    data, table, model = trained.config.data, trained.labels, trained.model
    settings, sampling = sampling_asked(trained, options)
    ask = {"num_steps": options.steps or settings.steps, **sampling._asdict()}
    device = next(model.parameters()).device
    if table.columns:
        ask["labels"] = table.parse(options.label or "")[None].to(device)
    elif options.label:
        raise ValueError(f"{trained.run.directory.name} has no labels: leave --label out")
    audio = read_recording(options.file, data.sample_rate, data.channels)[None]
    ask["show_progress"] = sys.stderr.isatty()
    edit = partial(edit_asked(options, data, audio), model, **ask)
    options.out.mkdir(parents=True, exist_ok=True)  # fails now rather than after the work

    def make() -> torch.Tensor:
        seeds = [generator_for(device, options.seed, i) for i in range(options.num)]
        return torch.cat([edit(generator=generator) for generator in seeds])

    made = timed_sounds(model, make, data.sample_rate, ask["num_steps"])
    told = {name: str(value) for name, value in vars(options).items() if value is not None}
    about = told | vars(settings) | {"run": trained.run.directory.name}
    for report in write_sounds(options.out, made, about=about):
        if not report.over_full_scale:  # else a warning has told it
            print(report.text())
    print(f"{made.text()}; in {options.out}")


if __name__ == "__main__":
    sys.exit(run_recipe(main))
