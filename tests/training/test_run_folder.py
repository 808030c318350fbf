"""Run folders: found again by name or path, never shared, and with an honest summary."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import torch

from audio_diffusion_pytorch.diagnostics.files import write_aside
from audio_diffusion_pytorch.training import run_folder
from audio_diffusion_pytorch.training.config import load_config
from audio_diffusion_pytorch.training.console import tee_console
from audio_diffusion_pytorch.training.run_folder import Run
from audio_diffusion_pytorch.training.versions import git_revision, versions


@dataclass(frozen=True)
class Train:
    max_steps: int = 3
    runs: Path = Path("runs")


@dataclass(frozen=True)
class Config:
    train: Train = field(default_factory=Train)


def summary_of(run, **values):
    given = {"completed": True, "steps": 3, "minutes": 0.5, "parameters": 10, **values}
    return run.write_summary(Config(), **given)


def test_a_run_folder_has_its_tree_and_its_config(tmp_path):
    config = Config(Train(max_steps=9))
    run = Run.create(tmp_path / "Läufe und mehr", "note test ü", config)
    assert sorted(path.name for path in run.directory.iterdir()) == [
        "checkpoints",
        "config.yaml",
        "logs",
        "samples",
    ]
    stamp, _, experiment = run.directory.name.partition("_")
    assert len(stamp) == 15 and stamp.replace("-", "", 1).isdigit()
    assert experiment == run.experiment == "note test ü"
    assert load_config(Config, run.config_path) == config


def test_runs_of_one_second_are_apart_and_in_order(tmp_path, monkeypatch):
    class Frozen:
        @staticmethod
        def now():
            from datetime import datetime

            return datetime(2026, 1, 2, 3, 4, 5)

    monkeypatch.setattr(run_folder, "datetime", Frozen)
    runs = [
        Run.create(tmp_path, name, Config())
        for name in ["b", "a", "b", "b", "a", "c", "b", "b", "a", "b", "b"]
    ]
    names = [run.directory.name for run in runs]
    assert len(set(names)) == 11
    assert names[0] == "20260102-030405_b"
    assert [run.directory for run in Run.all(tmp_path)] == [run.directory for run in runs]
    assert Run.find("a", tmp_path).directory == runs[8].directory
    assert Run.find("b", tmp_path).directory == runs[10].directory
    assert Run.find(None, tmp_path).directory == runs[10].directory


def test_a_run_is_found_by_path_folder_name_and_experiment(tmp_path, monkeypatch):
    runs = tmp_path / "runs"
    first = Run.create(runs, "demo", Config())
    second = Run.create(runs, "demo", Config())
    other = Run.create(runs, "piano_16k", Config())
    assert Run.find("demo", runs) == second
    assert Run.find(first.directory, tmp_path / "elsewhere") == first
    assert Run.find(first.directory.name, runs) == first
    assert Run.find("", runs) == Run.find(None, runs) == other
    monkeypatch.chdir(tmp_path)
    assert Run.find("piano_16k") == other
    assert Run.find(f"runs/{first.directory.name}") == first


def test_an_unknown_run_lists_the_known_experiments(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no run in '.*': train first"):
        Run.find(None, tmp_path / "none")
    with pytest.raises(FileNotFoundError, match="there is none yet: train first"):
        Run.find("demo", tmp_path)
    Run.create(tmp_path, "demo", Config())
    Run.create(tmp_path, "piano", Config())
    (tmp_path / "20260102-030405_unfinished").mkdir()  # no config: not a run
    with pytest.raises(FileNotFoundError) as caught:
        Run.find("pino", tmp_path)
    assert str(caught.value).endswith("known experiments: piano, demo")


@pytest.mark.parametrize("name", ["", " ", "a/b", "a\\b", "..", "a\nb", "con?", "x" * 101, "a."])
def test_a_name_that_is_no_folder_name_is_refused(tmp_path, name):
    with pytest.raises(ValueError, match="experiment name") as caught:
        Run.create(tmp_path, name, Config())
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_run_with_weights_comes_before_newer_ones_without(tmp_path):
    runs = [Run.create(tmp_path, name, Config()) for name in ("a", "a", "b", "a")]
    for run in runs[:2]:
        run.weights.write_bytes(b"")
    assert Run.find(None, tmp_path) == Run.find("a", tmp_path) == runs[3]
    assert Run.find(None, tmp_path, with_weights=True) == runs[1]
    assert Run.find("a", tmp_path, with_weights=True) == runs[1]
    assert Run.find("b", tmp_path, with_weights=True) == runs[2]


def test_a_run_goes_on_after_a_change_of_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = Run.create("runs", "demo", Config())
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path / "other")
    summary_of(run)
    run.save_config(Config(Train(max_steps=99)))
    assert run.summary_path.is_file()
    assert load_config(Config, run.config_path).train.max_steps == 99
    assert list((tmp_path / "other").iterdir()) == []


def test_the_summary_has_its_keys_and_is_plain_json(tmp_path):
    run = Run.create(tmp_path, "demo", Config())
    metrics = {"loss": {"a": float("inf")}, "pitch": torch.tensor(0.5), "note": "ü"}
    summary_of(run, final_loss=math.nan, best_loss=0.25, metrics=metrics, epochs=1.5)
    text = run.summary_path.read_text(encoding="utf-8")
    summary = json.loads(text, parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))
    assert summary == run.read_summary()
    assert set(summary) == {
        "completed", "name", "final_loss", "best_loss", "steps", "epochs", "minutes",
        "parameters", "metrics", "config", "directory", "git_revision", "versions",
    }  # fmt: skip
    assert summary["final_loss"] is None and summary["best_loss"] == 0.25
    assert summary["epochs"] == 1.5
    assert summary["metrics"] == {"loss": {"a": None}, "pitch": 0.5, "note": "ü"}
    assert summary["config"] == {"train": {"max_steps": 3, "runs": "runs"}}
    assert Path(summary["directory"]) == run.directory
    assert summary["versions"]["torch"] == torch.__version__
    assert summary["versions"] == versions()


def test_a_failed_write_leaves_the_earlier_file(tmp_path, monkeypatch):
    run = Run.create(tmp_path, "demo", Config())
    summary_of(run, steps=1)

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left") as caught:
        summary_of(run, steps=2)
    assert caught.value.filename == str(run.summary_path)
    assert run.read_summary()["steps"] == 1
    assert [path.name for path in run.directory.iterdir() if "tmp" in path.name] == []


def test_write_aside_keeps_bytes_and_names_that_are_no_text(tmp_path):
    write_aside(tmp_path / "a", b"\x00\xff")
    write_aside(tmp_path / "a", b"\x01")
    assert (tmp_path / "a").read_bytes() == b"\x01"
    write_aside(tmp_path / "b", '{"name": "\udc80 ü\n"}')
    assert (tmp_path / "b").read_bytes() == '{"name": "\\udc80 ü\n"}'.encode()


def test_write_aside_names_the_file_itself_when_the_folder_is_gone(tmp_path):
    with pytest.raises(FileNotFoundError) as caught:
        write_aside(tmp_path / "gone" / "a.html", "text")
    assert caught.value.filename == str(tmp_path / "gone" / "a.html")


def test_the_git_revision_is_that_of_the_folder(tmp_path, monkeypatch):
    assert git_revision(tmp_path) is None

    def git(*words):
        options = ["-c", "user.name=a", "-c", "user.email=a@b"]
        command = ["git", "-C", str(tmp_path), *options, *words]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    git("init", "-q")
    assert git_revision(tmp_path) is None  # no commit yet
    (tmp_path / "a").write_text("1")
    git("add", "a")
    git("commit", "-q", "-m", "a")
    assert git_revision(tmp_path) == git("rev-parse", "HEAD")
    (tmp_path / "a").write_text("2")
    assert git_revision(tmp_path) == git("rev-parse", "HEAD") + "+changes"
    monkeypatch.setenv("PATH", str(tmp_path))  # no git at all
    assert git_revision(tmp_path) is None


def test_the_console_is_copied_without_the_redraws_of_a_bar(tmp_path, capsys):
    run = Run.create(tmp_path, "demo", Config())
    with run.console():
        print("first ü")
        for index in range(1000):
            sys.stderr.write(f"\r{index / 10:.1f} %|####")
        print("between")
        sys.stderr.write("\r\x1b[32m100 %|######\x1b[0m\n")
        sys.stdout.write("half a line")
        assert not sys.stdout.isatty()
    print("after")
    shown = capsys.readouterr()
    assert shown.out == "first ü\nbetween\nhalf a lineafter\n"
    assert shown.err.count("\r") == 1001
    lines = (run.logs / "console.log").read_text(encoding="utf-8").splitlines()
    assert lines[1:] == ["first ü", "between", "100 %|######", "half a line"]
    with run.console():
        print("resumed")
    again = (run.logs / "console.log").read_text(encoding="utf-8").splitlines()
    assert again[:5] == lines and again[-1] == "resumed"


def test_a_tqdm_bar_leaves_one_line(tmp_path, capsys):
    from tqdm import tqdm

    run = Run.create(tmp_path, "demo", Config())
    with run.console():
        for _ in tqdm(range(300), mininterval=0):
            pass
    assert capsys.readouterr().err.count("\r") > 100
    lines = (run.logs / "console.log").read_text(encoding="utf-8").splitlines()
    assert len(lines) == 2
    assert "300/300" in lines[1]


def test_an_error_is_logged_with_its_traceback_and_the_streams_come_back(tmp_path):
    run = Run.create(tmp_path, "demo", Config())
    before = sys.stdout, sys.stderr
    with pytest.raises(RuntimeError, match="broken"), run.console():
        sys.stdout.write("unfinished")
        raise RuntimeError("broken")
    assert (sys.stdout, sys.stderr) == before
    log = (run.logs / "console.log").read_text()
    assert log.index("unfinished\n") < log.index("Traceback") < log.index("RuntimeError: broken")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_does_not_stop_a_print(capsys):
    with tee_console("/dev/full"):
        print("still here")
    assert capsys.readouterr().out == "still here\n"
