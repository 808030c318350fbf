"""Average the weights of a finished run over another stretch of it, and save them.

python examples/reconstruct_ema.py --run demo --length 0.05 0.1 0.15

The run must have been trained with train.ema_snapshot_every above 0; its checkpoints/ema_snapshots
hold what is needed. The length is the share of the run that an average remembers.
"""

from __future__ import annotations

import argparse
import sys

from safetensors.torch import save

from audio_diffusion_pytorch.training import RecipeParser, Run, reconstruct_ema, run_recipe
from audio_diffusion_pytorch.training.safe_write import write_aside

LOOSE = 0.05  # a profile this far off is another average than the one asked for


def read_options() -> argparse.Namespace:
    """Return what the command line asks for."""
    parser = RecipeParser(description=__doc__.split("\n")[0])
    parser.add_argument("--run", help="run folder or experiment (default: the newest run)")
    parser.add_argument("--runs", default="runs", help="where the runs are (train.runs)")
    parser.add_argument(
        "--length", type=float, nargs="+", required=True, help="share of the run, 0.02 to 0.2"
    )
    parser.add_argument("--step", type=int, help="a saved step (default: the last)")
    return parser.parse_args()


def main() -> None:
    """Put each average together, save it beside the checkpoints and say how exact it is."""
    options = read_options()
    run = Run.find(options.run, options.runs, with_weights=True)
    for length in options.length:
        made = reconstruct_ema(run.checkpoints / "ema_snapshots", length, options.step)
        path = run.checkpoints / f"ema_{length:.3f}.safetensors"
        words = {"step": str(made.step), "length": repr(length)}
        content = save(made.weights, words)
        write_aside(path, lambda file, content=content: file.write(content))
        warning = "; loose: snapshots more often would help" if made.error > LOOSE else ""
        print(
            f"{path}: step {made.step}, from {made.snapshots} snapshots, "
            f"profile within {100 * made.error:.2g} %{warning}"
        )


if __name__ == "__main__":
    sys.exit(run_recipe(main))
