"""Train the three small models that the doctor must find nothing wrong with.

python tools/make_healthy_models.py [--minutes 4] [--only piano]

Writes tests/diagnostics/healthy/{piano,synthetic,spectrogram}/, half-precision weights that
`DiffusionModel.from_pretrained` reads. The figures in the tests hold for weights made anew: they
are bounds, not recorded values.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

import torch

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "diagnostics")]

from healthy_runs import LEARNING_RATE, RUNS, Run  # noqa: E402

from audio_diffusion_pytorch.training import TrainConfig, fit  # noqa: E402


def make(run: Run, minutes: float) -> None:
    """Train one model and save its averaged weights."""
    began = time.perf_counter()
    torch.manual_seed(0)
    model = run.build()
    train, held_back = run.data()
    model.fit_normalizer(train[0, i].audio[None] for i in range(len(train)))
    config = TrainConfig(
        max_minutes=minutes, batch_size=32, learning_rate=LEARNING_RATE, precision="fp32",
        validate_every=500, sample_every=0,
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        result = fit(model, train, config, folder, validation=held_back)
    averaged = result.ema.module.half()
    averaged.save_pretrained(run.folder)
    size = sum(path.stat().st_size for path in run.folder.iterdir()) / 1e3
    print(
        f"{run.name}: {result.step} steps, loss {result.loss:.4f}, held back "
        f"{result.best_loss:.4f}, {size:.0f} kB, {time.perf_counter() - began:.0f} s"
    )


def main() -> None:
    """Read the command line and train."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--minutes", type=float, default=4.0)
    parser.add_argument("--only", choices=[run.name for run in RUNS])
    arguments = parser.parse_args()
    for run in RUNS:
        if arguments.only in (None, run.name):
            make(run, arguments.minutes)


if __name__ == "__main__":
    main()
