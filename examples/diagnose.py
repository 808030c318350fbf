"""Say what is wrong with a trained run, or with recordings before any training, and what to do.

python examples/diagnose.py --run demo
python examples/diagnose.py --run demo --against earlier --only losses sampling
python examples/diagnose.py --data my_sounds --sample-rate 44100

Takes a run of any recipe, by default the newest; its recordings are opened as training did. The
findings stand in `diagnosis.html` and `diagnosis.json` in the run folder, of recordings in the
current one; those of some groups (--only) in `diagnosis_only.html`, beside them.
Groups: data, space, schedule, losses, learning, conditioning, sampling.
The exit status is 1 if something is wrong or an error is told, else 0: suspicious may be meant so.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from any_run import load_any_run, previous_best, subject_of

from audio_diffusion_pytorch.diagnostics import (
    GROUP_TITLES,
    Diagnosis,
    Report,
    examine_folder,
    examine_model,
    write_aside,
    write_report,
)
from audio_diffusion_pytorch.training import (
    RecipeParser,
    Run,
    config_to_dict,
    run_recipe,
    versions,
)


def read_options() -> argparse.Namespace:
    """Return what the command line asks for."""
    parser = RecipeParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--run", help="run folder or experiment (default: the newest run)")
    what.add_argument("--data", type=Path, metavar="DIR", help="a folder of recordings alone")
    parser.add_argument("--runs", default="runs", help="where the runs are (train.runs)")
    parser.add_argument("--against", metavar="RUN", help="default: the best earlier run like it")
    parser.add_argument("--only", nargs="+", metavar="GROUP", choices=[*GROUP_TITLES])
    parser.add_argument("--out", type=Path, metavar="FILE", help="the page, ending in .html")
    parser.add_argument("--sample-rate", type=int, help="of a training on --data, Hz")
    parser.add_argument("--length", type=int, help="of a training clip of --data, samples")
    parser.add_argument("--channels", type=int, help="of a training clip of --data")
    parser.add_argument("--seed", type=int, default=0, help="of all that is drawn")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, ...")
    options = parser.parse_args()
    if options.data and (options.against or options.only):
        parser.error("--against and --only are for runs, --data is looked at as a whole")
    if options.out and options.out.suffix != ".html":
        parser.error(f"--out must end in .html, got {options.out}")
    if options.out and not options.out.parent.is_dir():
        parser.error(f"there is no folder {options.out.parent} for --out")
    if not options.data and (options.sample_rate or options.length or options.channels):
        parser.error("a run has its own --sample-rate, --length and --channels: leave them out")
    for name in ("sample_rate", "length", "channels"):
        if (getattr(options, name) or 1) < 1:
            parser.error(f"--{name.replace('_', '-')} must be at least 1")
    return options


def main() -> int:
    """Examine, print the findings, write them down; returns 1 if something is wrong."""
    options = read_options()
    if options.data:
        diagnosis, report, place = of_folder(options)
    else:
        diagnosis, report, place = of_run(options)
    page = options.out or place / ("diagnosis_only.html" if options.only else "diagnosis.html")
    report.versions = versions()
    write_report(page, report)
    content = json.dumps(diagnosis.to_dict(), indent=1, ensure_ascii=False)
    write_aside(page.with_suffix(".json"), content + "\n")
    print(diagnosis.text())
    print(f"diagnosis: {page}")
    return int(diagnosis.worst == "wrong")


def of_folder(options: argparse.Namespace) -> tuple[Diagnosis, Report, Path]:
    """Examine recordings; returns the diagnosis, the report and where they should lie."""
    try:
        diagnosis = examine_folder(
            options.data,
            sample_rate=options.sample_rate,
            length=options.length,
            channels=options.channels,
            seed=options.seed,
            show_progress=sys.stderr.isatty(),
        )
    except FileNotFoundError as error:  # in the words of this command line
        raise FileNotFoundError(str(error).replace("data.path", "--data")) from None
    return diagnosis, diagnosis.report("What the doctor says of these recordings"), Path()


def of_run(options: argparse.Namespace) -> tuple[Diagnosis, Report, Path]:
    """Examine a run; returns the diagnosis, the report and where they should lie."""
    run = load_any_run(options.run, options.runs, options.device)
    against = Run.find(options.against, options.runs) if options.against else previous_best(run)
    diagnosis = examine_model(
        subject_of(run, against),
        groups=options.only,
        seed=options.seed,
        show_progress=sys.stderr.isatty(),
    )
    report = diagnosis.report(f"{run.run.experiment}: what the doctor says")
    report.config = config_to_dict(run.config)
    if against is not None:
        report.note(f"The previous best run is {against.directory.name}.")
    return diagnosis, report, run.run.directory


if __name__ == "__main__":
    sys.exit(run_recipe(main))
