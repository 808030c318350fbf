"""Make sounds with a trained model: WAV files, pictures and one array of all samples.

python examples/generate.py --num 8 --steps 30 --out sounds
python examples/generate.py --run demo --num 4 --steps 10 30 --out notes --label 60:mf 67
python examples/generate.py --num 2 --out told --text "A4, very loud" "C sharp 4, soft"
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from asked import conditions_asked
from captions import CAPTIONED
from trained import add_sampling_flags, load_run, sampling_asked

from audio_diffusion_pytorch.training import RecipeParser, make_sounds, run_recipe, write_sounds


def read_options() -> argparse.Namespace:
    """Return what the command line asks for."""
    parser = RecipeParser(description=__doc__.split("\n")[0])
    parser.add_argument("--run", help="run folder or experiment (default: the newest run)")
    parser.add_argument("--runs", default="runs", help="where the runs are (train.runs)")
    parser.add_argument("--num", type=int, default=8, help="how many sounds")
    parser.add_argument("--steps", type=int, nargs="+", help="default: the run's sample.steps")
    parser.add_argument("--out", type=Path, required=True, help="folder for the sounds")
    parser.add_argument("--seed", type=int, default=0, help="of the start noise")
    parser.add_argument(
        "--label", nargs="+", action="extend", metavar="NOTE[:VELOCITY]", default=[],
        help="cycled over the sounds",
    )  # fmt: skip
    parser.add_argument("--text", nargs="+", metavar="TEXT", help="of a run trained on captions")
    add_sampling_flags(parser)
    scale = parser.add_mutually_exclusive_group()
    scale.add_argument("--peak", type=float, help="scale each WAV to this peak, dBFS")
    scale.add_argument("--loudness", type=float, help="scale each WAV to this level, LUFS")
    parser.add_argument("--limiter", action="store_true", help="lower what exceeds full scale")
    parser.add_argument("--subtype", choices=["PCM_16", "PCM_24", "FLOAT"], default="PCM_16")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, ...")
    options = parser.parse_args()
    if min(options.num, *(options.steps or [1])) < 1:
        parser.error("--num and --steps must be at least 1")
    return options


def main() -> None:
    """Make the sounds of each step count, write them, and say how loud they are and how fast."""
    options = read_options()
    kind = CAPTIONED if options.text else {}
    trained = load_run(options.run, options.runs, options.device, **kind)
    conditions = conditions_asked(trained.labels, options)
    options.out.mkdir(parents=True, exist_ok=True)  # fails now rather than after the work
    data = trained.config.data
    settings, sampling = sampling_asked(trained, options)
    options.steps = options.steps or [settings.steps]
    for steps in options.steps:
        folder = options.out / f"steps_{steps:04d}" if len(options.steps) > 1 else options.out
        made = make_sounds(
            trained.model, options.num, data.length, data.sample_rate, steps,
            seed=options.seed, show_progress=sys.stderr.isatty(),
            **conditions, **sampling._asdict(),
        )  # fmt: skip
        about = {"run": trained.run.directory.name, "seed": options.seed, "label": options.label}
        if options.text:
            about["text"] = options.text
        reports = write_sounds(
            folder, made, subtype=options.subtype, peak_db=options.peak,
            loudness_lufs=options.loudness, limiter=options.limiter, about=about | vars(settings),
        )  # fmt: skip
        for report in reports:
            if not report.over_full_scale:  # else a warning has told it
                print(report.text())
        print(f"{made.text()}; in {folder}")


if __name__ == "__main__":
    sys.exit(run_recipe(main))
