"""Checkpoints: all or nothing on disk, one-line errors, rotation."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from audio_diffusion_pytorch.training import (
    CheckpointFolder,
    find_checkpoint,
    load_checkpoint,
    load_weights,
    safe_write,
    save_checkpoint,
    save_weights,
)
from audio_diffusion_pytorch.training import checkpoint as checkpoint_module

STATE = {"model": {"weight": torch.arange(4.0)}, "step": 3, "config": {"data": {"length": 8}}}


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_round_trip_keeps_tensors_and_plain_values(tmp_path):
    content = load_checkpoint(save_checkpoint(tmp_path / "new" / "a.pt", STATE))
    assert torch.equal(content["model"]["weight"], STATE["model"]["weight"])
    assert (content["step"], content["config"]) == (3, {"data": {"length": 8}})
    assert files(tmp_path / "new") == ["a.pt"]


class Code:
    """Any class of our own: its unpickling would run code."""


def test_code_in_a_file_is_never_run(tmp_path):
    torch.save({"format": checkpoint_module.FORMAT, "model": Code()}, tmp_path / "a.pt")
    with pytest.raises(ValueError, match="damaged or is no checkpoint") as caught:
        load_checkpoint(tmp_path / "a.pt")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("damage", ["half", "text", "empty", "other", "weights"])
def test_what_is_no_checkpoint_is_refused_in_one_line(tmp_path, damage):
    path = save_checkpoint(tmp_path / "a.pt", STATE)
    if damage == "half":
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    elif damage == "text":
        path.write_text("not a checkpoint")
    elif damage == "empty":
        path.write_bytes(b"")
    elif damage == "other":
        torch.save([1, 2], path)
    else:
        torch.save({"weight": torch.ones(1)}, path)
    with pytest.raises(
        ValueError, match=r"a\.pt is .*no checkpoint.*give checkpoints/last"
    ) as caught:
        load_checkpoint(path)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no checkpoint .*a\.pt"):
        load_checkpoint(tmp_path / "a.pt")
    with pytest.raises(FileNotFoundError, match="start a new run"):
        find_checkpoint(tmp_path)


def check_full_disk(caught: pytest.ExceptionInfo[OSError], path: Path) -> None:
    message = str(caught.value)
    assert "\n" not in message and "Traceback" not in message
    assert str(path) in message and "MB free" in message and "--resume" in message
    assert files(path.parent) == [path.name]
    assert load_checkpoint(path)["step"] == 3


@pytest.mark.parametrize("room", [0, 100, 5000])
def test_a_full_disk_is_one_line_and_harms_nothing(tmp_path, monkeypatch, room):
    path = save_checkpoint(tmp_path / "last.pt", STATE)
    written = 0

    def full(self, data):
        nonlocal written
        written += len(data)
        if written > room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return self.file.write(data)

    def write(self, data):
        try:
            return full(self, data)
        except OSError as error:
            self.error = self.error or error
            raise

    monkeypatch.setattr(safe_write._Watched, "write", write)
    bigger = {**STATE, "model": {"weight": torch.zeros(10_000)}}
    with pytest.raises(OSError, match="no space left") as caught:
        save_checkpoint(path, bigger)
    assert caught.value.errno == errno.ENOSPC
    check_full_disk(caught, path)
    with pytest.raises(OSError, match="no space left"):
        save_weights(tmp_path / "last.safetensors", nn.Linear(200, 200))
    assert files(tmp_path) == ["last.pt"]


def test_a_real_refusal_of_the_file_system_is_one_line_and_harms_nothing(tmp_path):
    """The kernel itself refuses the write, after 64 KiB: a limit on the size of files."""
    resource = pytest.importorskip("resource")
    path = save_checkpoint(tmp_path / "last.pt", STATE)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (65536, before[1]))
        with pytest.raises(OSError, match="cannot save") as caught:
            save_checkpoint(path, {**STATE, "model": {"weight": torch.zeros(200_000)}})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert caught.value.errno == errno.EFBIG
    check_full_disk(caught, path)


@pytest.mark.slow
def test_a_really_full_disk_is_one_line_and_harms_nothing(tmp_path):
    if shutil.which("mount") is None or os.geteuid() != 0:
        pytest.skip("needs the right to mount")
    disk = tmp_path / "disk"
    disk.mkdir()
    options = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(disk)]
    if subprocess.run(options, capture_output=True, check=False).returncode != 0:
        pytest.skip("mounting is not allowed here")
    try:
        path = save_checkpoint(disk / "last.pt", STATE)
        with pytest.raises(OSError, match="no space left") as caught:
            save_checkpoint(path, {**STATE, "model": {"weight": torch.zeros(200_000)}})
        check_full_disk(caught, path)
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_an_unwritable_place_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match=r"cannot save .*file.a\.pt") as caught:
        save_checkpoint(tmp_path / "file" / "a.pt", STATE)
    assert "\n" not in str(caught.value)


def network(width: int, extra: bool = False) -> nn.Sequential:
    layers = [nn.Conv1d(1, width, 3), nn.Conv1d(width, 1, 3)]
    return nn.Sequential(*layers, *([nn.Conv1d(1, 1, 1)] if extra else []))


def test_weights_of_another_model_are_refused_in_one_line():
    with pytest.raises(ValueError, match="another model") as caught:
        load_weights(network(8), network(4).state_dict(), "runs/x/checkpoints/last.pt")
    message = str(caught.value)
    assert message.startswith("runs/x/checkpoints/last.pt is from another model: 0 weights missing")
    assert (
        "3 of another shape" in message
        and "0.weight is (4, 1, 3) there and (8, 1, 3) here" in message
    )
    with pytest.raises(ValueError, match=r"2 weights missing.*2\.weight is only here") as caught:
        load_weights(network(4, extra=True), network(4).state_dict())
    assert "\n" not in str(caught.value)
    with pytest.raises(ValueError, match=r"2 unknown.*2\.weight is only there"):
        load_weights(network(4), network(4, extra=True).state_dict())


def test_rotation_keeps_the_newest_and_the_best_and_the_last(tmp_path):
    folder, model = CheckpointFolder(tmp_path, keep=2), nn.Linear(1, 1)
    for step in (10, 20, 30, 40):
        nn.init.constant_(model.bias, step)
        folder.save(step, {"step": step}, model, is_best=step == 20)
    assert files(tmp_path) == [
        "best.pt", "best.safetensors", "last.pt", "last.safetensors", "step_00000030.pt",
        "step_00000040.pt",
    ]  # fmt: skip
    assert load_checkpoint(folder.best)["step"] == 20
    assert load_checkpoint(folder.last)["step"] == 40
    assert load_file(tmp_path / "best.safetensors")["bias"].item() == 20
    assert load_file(tmp_path / "last.safetensors")["bias"].item() == 40
    assert find_checkpoint(tmp_path) == folder.last
    folder.last.unlink()
    assert find_checkpoint(tmp_path).name == "step_00000040.pt"


def test_rotation_after_going_back_keeps_what_was_written_last(tmp_path):
    folder, model = CheckpointFolder(tmp_path, keep=1), nn.Linear(1, 1)
    for number, step in enumerate((30, 10)):
        folder.save(step, {"step": step}, model)
        os.utime(tmp_path / f"step_{step:08d}.pt", (1e9 + number, 1e9 + number))
    folder.save(11, {"step": 11}, model)
    assert [path.name for path in folder.steps()] == ["step_00000011.pt"]


@pytest.mark.parametrize("keep", [0, 1])
def test_last_and_best_are_whole_where_the_disk_knows_no_second_names(tmp_path, monkeypatch, keep):
    monkeypatch.setattr(os, "link", lambda *_: (_ for _ in ()).throw(OSError(errno.EPERM, "no")))
    folder = CheckpointFolder(tmp_path, keep=keep)
    for step in (1, 2):
        folder.save(step, {"step": step}, nn.Linear(1, 1), is_best=True)
    assert load_checkpoint(folder.last)["step"] == load_checkpoint(folder.best)["step"] == 2
    assert len(folder.steps()) == keep
    assert not list(tmp_path.glob(".*"))


def test_weights_with_shared_tensors_are_saved_whole(tmp_path):
    first = nn.Linear(3, 3)
    tied = nn.ModuleList([first, first])
    path = save_weights(tmp_path / "w.safetensors", tied, step="7")
    tied_again = nn.ModuleList([nn.Linear(3, 3), nn.Linear(3, 3)])
    tied_again.load_state_dict(load_file(path))
    assert torch.equal(tied_again[1].weight, first.weight)
