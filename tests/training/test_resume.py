"""A run that was stopped or killed goes on bit for bit."""

from __future__ import annotations

import math
import signal
import subprocess
import sys

import pytest
import torch

from audio_diffusion_pytorch.training import diffusion_loss, fit, load_checkpoint


def same(left: object, right: object, where: str = "") -> None:
    """Fails unless both hold the same bits."""
    if isinstance(left, torch.Tensor):
        assert torch.equal(left, right), where
    elif isinstance(left, dict):
        assert left.keys() == right.keys(), where
        for key in left:
            same(left[key], right[key], f"{where}/{key}")
    elif isinstance(left, list | tuple):
        assert len(left) == len(right), where
        for number, (one, other) in enumerate(zip(left, right, strict=True)):
            same(one, other, f"{where}/{number}")
    else:
        assert left == right, where


@pytest.fixture
def run(tone_training, tones, tmp_path):
    """Trains in a folder; returns (rows, content of the last checkpoint)."""

    def train(folder, resume=False, stop_at=None, **settings):
        calls = 0

        def loss(model, batch, generator, times=None):
            nonlocal calls
            calls += times is None  # training, not validation
            if times is None and calls == stop_at:
                signal.raise_signal(signal.SIGINT)
            return diffusion_loss(model, batch, generator, times)

        rows = tone_training.Rows()
        result = fit(
            tone_training.TinyModel(), tone_training.Tones(tones),
            tone_training.small_config(**settings), tmp_path / folder, loss=loss,
            validation=tone_training.Tones(tones), loggers=[rows], resume=resume,
        )  # fmt: skip
        return rows, load_checkpoint(result.checkpoint)

    return train


@pytest.mark.parametrize(("precision", "half_way"), [("fp32", 100), ("bf16", 20)])
def test_a_hundred_and_a_hundred_steps_are_two_hundred(run, precision, half_way):
    settings = {
        "max_steps": 2 * half_way, "accumulate": 2, "num_workers": 1, "log_every": 7,
        "validate_every": half_way // 2,
        "validation_items": 4, "validation_bins": 2, "precision": precision,
    }  # fmt: skip
    whole_rows, whole = run("whole", **settings)
    first_rows, half = run("halves", stop_at=2 * half_way, **settings)
    assert half["step"] == half_way
    second_rows, both = run("halves", resume=True, **settings)
    assert both["step"] == 2 * half_way
    for content in (whole, both):
        assert content.pop("seconds") > 0
    same(whole, both)
    assert whole_rows.losses(half_way) == second_rows.losses()
    assert whole_rows.losses() == {**first_rows.losses(), **second_rows.losses()}
    assert (
        whole_rows.rows[2 * half_way]["validation/loss"]
        == second_rows.rows[2 * half_way]["validation/loss"]
    )
    assert len(whole_rows.losses()) == 2 * half_way // 7
    assert all(math.isfinite(float.fromhex(loss)) for loss in whole_rows.losses().values())


@pytest.mark.skipif(sys.platform == "win32", reason="kill -9 is Unix")
def test_killed_in_the_middle_of_an_epoch_it_goes_on_bit_for_bit(
    run, tone_training, tones, tmp_path, project_root
):
    settings = {"max_steps": 30, "accumulate": 2, "num_workers": 1, "checkpoint_every": 5}
    command = [sys.executable, tone_training.__file__, "killed", tones, tmp_path / "killed"]
    done = subprocess.run(command, cwd=project_root, env=_environment(project_root), check=False)
    assert done.returncode == -signal.SIGKILL
    left = load_checkpoint(tmp_path / "killed" / "checkpoints" / "last.pt")
    assert (
        left["step"] == 15
    )  # 15 steps of 2 * 4 clips: the eleventh epoch of 12 had begun its last
    resumed, end = run("killed", resume=True, validation_items=0, **settings)
    whole, expected = run("whole", validation_items=0, **settings)
    assert resumed.losses() == whole.losses(15) and len(resumed.losses()) == 15
    for content in (end, expected):
        content.pop("seconds")
    same(end, expected)


def test_the_plan_from_minutes_is_kept_on_resume(run):
    settings = {"max_minutes": 20 / 60, "log_every": 1, "validation_items": 0}
    _, half = run("minutes", stop_at=60, **settings)
    assert half["step"] == 60 and half["plan"]["total_steps"] > 60
    _, later = run("minutes", resume=True, stop_at=5, **settings)
    assert later["plan"] == half["plan"] and later["step"] == 65
    assert later["seconds"] > half["seconds"]


def test_a_damaged_last_checkpoint_is_passed_over(run, tmp_path, capsys):
    settings = {"max_steps": 12, "checkpoint_every": 5, "validation_items": 0}
    whole, _ = run("run", **settings)
    checkpoints = tmp_path / "run" / "checkpoints"
    for name in ("last.pt", "step_00000012.pt"):
        (checkpoints / name).write_bytes((checkpoints / "step_00000010.pt").read_bytes()[:500])
    (checkpoints / ".last.pt.1.partial").write_bytes(b"half")
    again, _ = run("run", resume=True, **settings)
    assert again.losses() == whole.losses(10)
    out = capsys.readouterr().out
    assert "last.pt is damaged" in out and "step_00000010.pt at step 10" in out
    assert not list(checkpoints.glob(".*"))


def test_killed_before_the_first_checkpoint_it_starts_again(run):
    rows, content = run("new", resume=True, max_steps=3)
    assert content["step"] == 3 and list(rows.losses()) == [1, 2, 3]


def _environment(root) -> dict[str, str]:
    import os

    return {**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"}
