"""The class-conditional recipe on sounds whose pitch is known: does it make what is asked for?"""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from audio_diffusion_pytorch.metrics import dominant_frequency, estimate_pitch
from audio_diffusion_pytorch.training import make_sounds

# Of a sine and its sidebands the loudest line is the pitch; of the others all partials tell it.
ONE_LINE = ("sine", "am")
MANY_LINES = ("harmonic", "fm", "pulse")
LARGEST_ERROR = 0.03
SETTINGS = [
    "data.path=synthetic", "data.labels=labels.csv", "data.label_columns=kind,note",
    "data.crop=random", "data.validation=0.05", "model.bins=512", "train.max_minutes=5",
]  # fmt: skip


@pytest.fixture(scope="module")
def errors(trained, project_root, tmp_path_factory) -> dict[str, float]:
    """Median relative error of the frequency for each kind, after five minutes of training."""
    work = tmp_path_factory.mktemp("pitch")
    environment = {**os.environ, "PYTHONPATH": str(project_root), "PYTHONUTF8": "1"}
    for script, *arguments in (
        ["make_synthetic_data.py", "--out", "synthetic"],
        ["train_class_conditional.py", "--experiment", "pitch", *SETTINGS],
    ):
        done = subprocess.run(
            [sys.executable, str(project_root / "examples" / script), *arguments],
            cwd=work, env=environment, capture_output=True, encoding="utf-8", timeout=900,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-2000:]
    run = trained.load_run("pitch", str(work / "runs"), "cpu")
    return pitch_errors(run, work / "synthetic" / "labels.csv")


def pitch_errors(trained, manifest: Path) -> dict[str, float]:
    """Ask for the kind and note of each clip once, and compare with the clip's own frequency."""
    with manifest.open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["kind"] in ONE_LINE + MANY_LINES]
    assert len(rows) == 71  # the 86 clips but the 15 chirps
    asked = [trained.labels.encode({key: row[key] for key in ("kind", "note")}) for row in rows]
    data = trained.config.data
    sounds = make_sounds(
        trained.model, len(rows), data.length, data.sample_rate, 30,
        seed=1, labels=torch.stack(asked),
    ).audio[:, 0]  # fmt: skip
    pitch = estimate_pitch(sounds, data.sample_rate, low=40).frequency
    loudest = dominant_frequency(sounds, data.sample_rate)
    wanted = torch.tensor([float(row["frequency"]) for row in rows])
    medians = {}
    for kind in ONE_LINE + MANY_LINES:
        chosen = torch.tensor([row["kind"] == kind for row in rows])
        found = (loudest if kind in ONE_LINE else pitch)[chosen]
        medians[kind] = float((found / wanted[chosen] - 1).abs().median())
    return medians


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("kind", ONE_LINE + MANY_LINES)
def test_the_pitch_is_the_one_asked_for(errors, kind):
    assert errors[kind] < LARGEST_ERROR, errors
