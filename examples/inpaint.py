"""Cut gaps into held-back notes, fill them with a trained model, and measure how well.

python examples/inpaint.py --run demo
python examples/inpaint.py --run demo --gaps 100 800 --places middle

Beside the model stand silence and linear prediction. Table, sounds, picture and report go to
`inpainting/` in the run folder. The exit status is 1 if a gap is filled hardly better than silence.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace

from gaps import HEADER, compare_gap, gaps_asked, line, sentence, table, write_report_of
from trained import add_sampling_flags, load_run, sampling_asked

from audio_diffusion_pytorch.training import RecipeParser, generator_for, open_data, run_recipe


def read_options() -> argparse.Namespace:
    """Return what the command line asks for."""
    parser = RecipeParser(description=__doc__.split("\n")[0])
    parser.add_argument("--run", help="run folder or experiment (default: the newest run)")
    parser.add_argument("--runs", default="runs", help="where the runs are (train.runs)")
    parser.add_argument(
        "--gaps", type=float, nargs="+", default=[20, 50, 100, 200, 400], help="in milliseconds"
    )
    places = ["start", "middle"]
    parser.add_argument("--places", nargs="+", choices=places, default=places, help="of the clip")
    parser.add_argument("--steps", type=int, help="default: the run's sample.steps")
    parser.add_argument("--visits", type=int, default=3, help="walks of each stretch of steps")
    parser.add_argument("--seed", type=int, default=0, help="of the noise")
    add_sampling_flags(parser)
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, ...")
    options = parser.parse_args()
    if options.visits < 1 or (options.steps is not None and options.steps < 1):
        parser.error("--steps and --visits must be at least 1")
    return options


def main() -> int:
    """Fill every gap, print and save the table; returns 1 if a row fails."""
    options = read_options()
    trained = load_run(options.run, options.runs, options.device)
    settings, sampling = sampling_asked(trained, options)
    config = replace(trained.config.data, crop="start")  # where a note is struck
    gaps = gaps_asked(options.gaps, options.places, config.length, config.sample_rate)
    data, held_back = open_data(config, trained.config.train.seed)
    ask = {"num_steps": options.steps or settings.steps, "visits": options.visits}
    ask |= sampling._asdict()
    device = next(trained.model.parameters()).device
    results, heard = {}, {}
    print(HEADER)
    for number, gap in enumerate(gaps):
        generator = generator_for(device, options.seed, number)
        heard[gap.place] = compare_gap(trained.model, data, held_back, gap, generator, ask)
        results[gap] = heard[gap.place].means()
        print(line(gap, results[gap]), flush=True)
    folder = trained.run.directory / "inpainting"
    folder.mkdir(exist_ok=True)
    for place, compared in heard.items():  # each place's longest gap
        compared.write(folder, config.sample_rate, f"{place}_")
    write_report_of(folder, trained.run, results, heard, config.sample_rate)
    print(sentence(results))
    missed = [row.name for row in table(results) if row.verdict == "fail"]
    if missed:
        print(f"hardly better than silence: {'; '.join(missed)}")
    print(f"inpainting: {folder}")
    return int(bool(missed))


if __name__ == "__main__":
    sys.exit(run_recipe(main))
