"""Turn a trained run into a folder that `from_pretrained` loads anywhere: a config and weights.

python examples/export_pretrained.py --out piano
python examples/export_pretrained.py --run demo --weights best --dtype bfloat16 --out piano
python examples/export_pretrained.py --weights ema_0.050 --out piano    (made by reconstruct_ema.py)
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import torch
from encoders import SpectrumEncoder

from audio_diffusion_pytorch.serialization import Pretrained, load_upstream_weights
from audio_diffusion_pytorch.training import RecipeParser, Run, run_recipe

OWN = [SpectrumEncoder]  # classes of examples/ that a run's model may consist of


def read_options() -> argparse.Namespace:
    """Return what the command line asks for."""
    parser = RecipeParser(description=__doc__.split("\n")[0])
    parser.add_argument("--run", help="run folder or experiment (default: the newest run)")
    parser.add_argument("--runs", default="runs", help="where the runs are (train.runs)")
    parser.add_argument(
        "--weights", default="last", help="a file of the run's checkpoints: last, best, ema_..."
    )
    parser.add_argument("--dtype", choices=["float32", "bfloat16", "float16"], default="float32")
    parser.add_argument("--out", type=Path, required=True, help="folder for the model")
    return parser.parse_args()


def main() -> None:
    """Make the model from the description beside its weights, and save it."""
    options = read_options()
    run = Run.find(options.run, options.runs, with_weights=True)
    chosen = run.checkpoints / f"{options.weights}.safetensors"
    if not chosen.is_file():
        names = sorted(path.stem for path in run.checkpoints.glob("*.safetensors"))
        raise FileNotFoundError(
            f"there is no {chosen.name} in {run.checkpoints}: --weights may be "
            f"{' or '.join(names) or 'nothing yet, the run has saved no checkpoint'}"
        )
    # The last checkpoint is there in any case, and says what the model is.
    model = Pretrained.from_pretrained(run.weights, trusted=OWN)
    if chosen != run.weights:
        load_upstream_weights(model, chosen)
    model.to(getattr(torch, options.dtype)).save_pretrained(options.out)
    size = sum(weight.numel() for weight in model.parameters())
    kind = type(model).__name__
    print(f"{kind} of {size / 1e6:.1f} M weights from {run.directory.name} in {options.out}")
    own = [part.__name__ for part in OWN if any(type(m) is part for m in model.modules())]
    trusted = f", trusted=[{', '.join(own)}]" if own else ""
    print(f"load it by {kind}.from_pretrained({str(options.out)!r}{trusted})")


if __name__ == "__main__":
    sys.exit(run_recipe(main))
