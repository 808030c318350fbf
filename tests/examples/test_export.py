"""A run's weights say what model they are of, and become a folder that loads without the recipe."""

from __future__ import annotations

import shutil

import pytest
import torch
from torch import Generator

from audio_diffusion_pytorch import DiffusionModel


@pytest.fixture(scope="module")
def answers(first, run_many, tmp_path_factory):
    work = tmp_path_factory.mktemp("export")
    early = work / "runs" / "20200101-000000_early"
    shutil.copytree(first.folder, early)
    for path in (early / "checkpoints").glob("*"):
        path.unlink()
    run = ["--run", str(first.folder)]
    cases = {
        "plain": [*run, "--out", "plain"],
        "best": [*run, "--weights", "best", "--dtype", "bfloat16", "--out", "best"],
        "none": [*run, "--weights", "ema_0.1", "--out", "x"],
        "early": ["--run", str(early), "--out", "x"],
    }
    done = run_many(
        [
            {"name": name, "script": "export_pretrained.py", "arguments": words, "cwd": str(work)}
            for name, words in cases.items()
        ]
    )
    return work, done


def test_an_exported_model_is_the_runs_own(answers, first, trained):
    work, done = answers
    assert done["plain"]["code"] == 0, done["plain"]
    model = trained.load_run(str(first.folder), device="cpu").model
    exported = DiffusionModel.from_pretrained(work / "plain").eval()
    direct = DiffusionModel.from_pretrained(
        first.folder / "checkpoints" / "last.safetensors"
    ).eval()
    wanted = model.generate(1, 500, 3, generator=Generator().manual_seed(1))
    for other in (exported, direct):
        assert torch.equal(other.generate(1, 500, 3, generator=Generator().manual_seed(1)), wanted)


def test_other_weights_and_precision(answers):
    work, done = answers
    assert done["best"]["code"] == 0, done["best"]
    model = DiffusionModel.from_pretrained(work / "best")
    assert {weight.dtype for weight in model.parameters()} == {torch.bfloat16}


def test_what_is_missing_is_said(answers):
    _, done = answers
    assert "--weights may be best or last" in str(done["none"])
    assert "no checkpoint" in str(done["early"])
