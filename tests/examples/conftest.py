"""Runs of the real recipes on real recordings, shared by the tests of this folder."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType

import pytest
import soundfile
import soxr

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"
STEPS = 60
SMALL = [
    "model.bins=64", "model.channels=16,16", "model.modulation_features=32", "data.length=2048",
    "sample.num=2", "sample.steps=3", "train.device=cpu", "train.batch_size=16",
]  # fmt: skip


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "PYTHONUTF8": "1"}


def run_script(name: str, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """`python examples/NAME ARGUMENTS`, which must succeed."""
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / name), *arguments],
        cwd=cwd, env=environment(), capture_output=True, encoding="utf-8", timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done


@dataclass
class Done:
    """A run and what was printed."""

    folder: Path
    out: str
    rows_before: list[str] = field(default_factory=list)

    @property
    def rows(self) -> list[str]:
        """The lines of the curves that hold a training loss."""
        return loss_rows(self.folder)


def loss_rows(folder: Path) -> list[str]:
    """`step` and `train/loss` of each row, as the characters that stand in the file."""
    curves = folder / "logs" / "scalars.jsonl"
    text = curves.read_text("utf-8") if curves.is_file() else ""
    return re.findall(r'^\{("step": \d+, "train/loss": [^,]+),.*\}$', text, re.MULTILINE)


def run_folder(out: str) -> Path:
    """The folder in the last printed line."""
    last = out.splitlines()[-1]
    assert last.startswith("run: ")
    return Path(last.removeprefix("run: "))


@pytest.fixture(scope="session")
def recordings(tmp_path_factory, piano_folder) -> Path:
    """Piano notes as a user has them: nested, mixed rates, channels and formats, odd names."""
    root = tmp_path_factory.mktemp("user") / "Meine Töne"
    deep = root / "alte Bänder" / "a b"
    deep.mkdir(parents=True)
    notes = sorted(piano_folder.glob("*.flac"))[::20]
    for number, note in enumerate(notes):
        audio, rate = soundfile.read(note, always_2d=True)
        place = (root, root / "alte Bänder", deep)[number % 3] / f"{note.stem} größer"
        if number % 4 == 1:
            stereo = soxr.resample(audio.repeat(2, axis=1), rate, 44100)
            soundfile.write(place.with_suffix(".wav"), stereo, 44100, subtype="PCM_24")
        elif number % 4 == 2:
            soundfile.write(place.with_suffix(".ogg"), soxr.resample(audio, rate, 22050), 22050)
        else:
            shutil.copy(note, place.with_suffix(".flac"))
    (root / "notes.txt").write_text("not a sound", encoding="utf-8")
    return root


@pytest.fixture(scope="session")
def first(recordings) -> Done:
    """One uninterrupted run, started beside the folder of recordings."""
    done = run_script(
        "train_unconditional.py", "--experiment", "first", f"data.path={recordings.name}", *SMALL,
        f"train.max_steps={STEPS}", "train.log_every=1", "train.checkpoint_every=7",
        "train.validate_every=25", "train.validation_items=4", "train.sample_every=40",
        "train.precision=fp32",
        cwd=recordings.parent,
    )  # fmt: skip
    return Done(run_folder(done.stdout), done.stdout)


@pytest.fixture(scope="session")
def killed(first) -> Done:
    """The same settings from the first run's archive, killed on the way and resumed by name."""
    work = first.folder.parents[1]
    config = str(first.folder / "config.yaml")
    command = [sys.executable, str(EXAMPLES / "train_unconditional.py")]
    command += ["--config", config, "--experiment", "killed"]
    with subprocess.Popen(
        command, cwd=work, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    ) as process:
        folder, deadline = None, time.monotonic() + 60
        while process.poll() is None and time.monotonic() < deadline:
            folder = folder or next(work.glob("runs/*_killed"), None)
            if folder is not None and len(loss_rows(folder)) >= 12:
                process.send_signal(signal.SIGKILL)
                break
            time.sleep(0.002)
        code = process.wait(20)
    assert code == -signal.SIGKILL
    before = loss_rows(folder)
    done = run_script("train_unconditional.py", "--resume", "killed", cwd=work)
    return Done(run_folder(done.stdout), done.stdout, before)


@pytest.fixture(scope="session")
def run_many(tmp_path_factory):
    """Runs `(name, script, arguments, options)` one after the other, forked from one process."""

    def run(cases: list[dict]) -> dict[str, dict]:
        listing = tmp_path_factory.mktemp("many") / "cases.json"
        ready = [{**case, "script": str(EXAMPLES / case["script"])} for case in cases]
        listing.write_text(json.dumps(ready), encoding="utf-8")
        many = str(Path(__file__).parent / "many_scripts.py")
        subprocess.run(
            [sys.executable, many, str(listing)], env=environment(), check=True, timeout=600
        )
        results = json.loads(listing.with_suffix(".out.json").read_text("utf-8"))
        return {case["name"]: result for case, result in zip(cases, results, strict=True)}

    return run


def example(name: str) -> ModuleType:
    """`examples/NAME.py` as a module."""
    spec = importlib.util.spec_from_file_location(f"{name}_under_test", EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(EXAMPLES)  # as for a script: what stands beside it can be imported
        spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def import_example():
    """Imports `examples/NAME.py`."""
    return example


@pytest.fixture(scope="session")
def recipe() -> ModuleType:
    """What the recipes share."""
    return example("recipe")


@pytest.fixture(scope="session")
def trained() -> ModuleType:
    """What scripts that use a run share."""
    return example("trained")


@pytest.fixture(scope="session")
def small() -> list[str]:
    """Settings of a model that trains in a second."""
    return SMALL
