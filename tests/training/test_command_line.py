"""The command line of the recipes: settings, resume, and errors in one line without a traceback."""

from __future__ import annotations

import errno
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from torch.utils.data import DataLoader, Dataset

from audio_diffusion_pytorch.training.command_line import (
    Arguments,
    is_expected,
    one_line,
    parse_recipe,
    run_recipe,
)
from audio_diffusion_pytorch.training.config import ConfigError, load_config
from audio_diffusion_pytorch.training.run_folder import Run


@dataclass(frozen=True)
class Data:
    path: Path
    sample_rate: int = 16000


@dataclass(frozen=True)
class Train:
    """Training.

    Attributes:
        max_steps: where to stop.
    """

    max_steps: int = 100
    max_minutes: float | None = None
    learning_rate: float = 1e-4
    seed: int = 0
    runs: Path = Path("runs")


@dataclass(frozen=True)
class Config:
    data: Data
    train: Train = field(default_factory=Train)


def parse(*words: str) -> Arguments[Config]:
    return parse_recipe("Trains a toy.", Config, words)


@pytest.fixture(autouse=True)
def own_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["/somewhere/train_toy.py"])
    monkeypatch.delenv("ADP_DEBUG", raising=False)


def test_settings_and_options_mix_in_any_order():
    Path("a b.ini").write_text("[data]\npath = x\n[train]\nmax_steps = 5\nlearning_rate = 1\n")
    words = ["train.max_steps=7", "--config", "a b.ini", "data.sample_rate=8000"]
    expected = Config(Data(Path("x"), 8000), Train(max_steps=7, learning_rate=1.0))
    for order in (words, words[1:] + words[:1], [words[0], *words[3:], *words[1:3]]):
        arguments = parse(*order)
        assert arguments == Arguments(expected, None, "toy", Path("runs"))
    named = parse("--experiment", "ü b", *words, "train.runs=elsewhere")
    assert (named.experiment, named.runs) == ("ü b", Path("elsewhere"))


def test_help_lists_the_keys(capsys):
    with pytest.raises(SystemExit) as caught:
        parse("--help")
    assert caught.value.code == 0
    out = capsys.readouterr().out
    assert "[--config FILE] [--resume [RUN]] [--experiment NAME] [key=value ...]" in out
    assert "data.path            path; must be given." in out
    assert "train.max_steps      int; default 100. where to stop." in out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--exp", "a"], "unknown option '--exp'; did you mean '--experiment'?"),
        (["--resum"], "unknown option '--resum'; did you mean '--resume'?"),
        (["--train.max_steps=3"], "settings have no dashes: train.max_steps=VALUE"),
        (["--learning_rate", "3"], "did you mean 'train.learning_rate'?"),
        (["data.path=x", "train.max_steps", "=", "3"], "unexpected word 'train.max_steps'"),
        (["--config"], "argument --config: expected one argument"),
        (["--config", "gone.ini"], "config file 'gone.ini' does not exist"),
        (["data.path=x", "--experiment", "a/b"], "experiment name 'a/b' holds '/'"),
        ([], "config key 'data.path' has no value"),
    ],
)
def test_mistakes_are_told_in_one_line(words, message):
    with pytest.raises(ValueError) as caught:
        parse(*words)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_resume_takes_the_archived_settings_of_the_newest_run(capsys):
    first = parse("data.path=x", "train.learning_rate=0.5", "--experiment", "a").open_run()
    second = parse("data.path=y", "--experiment", "b").open_run()
    assert [run.experiment for run in Run.all("runs")] == ["a", "b"]
    newest = parse("--resume")
    assert newest.resume == second and newest.experiment == "b"
    assert newest.config.data.path == Path("y")
    for words in (["--resume", "a"], ["--resume", str(first.directory)], ["--experiment", "a"]):
        words = words if "--resume" in words else ["--resume", *words]
        again = parse(*words)
        assert again.resume == first
        assert again.config == load_config(Config, first.config_path)
        assert again.open_run() == first
    assert len(Run.all("runs")) == 2
    assert capsys.readouterr().out == ""


def test_limits_change_in_silence_and_are_archived(capsys):
    run = parse("data.path=x").open_run()
    longer = parse("--resume", "train.max_steps=500", "train.max_minutes=3")
    assert capsys.readouterr().out == ""
    longer.open_run()
    assert parse("--resume").config.train == Train(max_steps=500, max_minutes=3.0)
    changed = parse("--resume", run.directory.name, "train.learning_rate=2e-4")
    assert changed.config.train.learning_rate == 2e-4
    assert capsys.readouterr().out == "resume: train.learning_rate changes from 0.0001 to 0.0002\n"


def test_other_data_or_model_settings_are_refused_on_resume(capsys):
    Path("x").mkdir()
    parse("data.path=x").open_run()
    with pytest.raises(ConfigError) as caught:
        parse("--resume", "data.sample_rate=8000", "data.path=z", "train.max_steps=3")
    message = str(caught.value)
    assert "data.path (x -> z), data.sample_rate (16000 -> 8000)" in message
    assert "max_steps" not in message and "\n" not in message
    moved = "resume: data.path changes from x to z\n"
    Path("x").rmdir()  # now the recordings are elsewhere
    assert parse("--resume", "data.path=z").config.data.path == Path("z")
    assert capsys.readouterr().out == moved
    Path("same.ini").write_text("[data]\npath = x\n")
    assert parse("--resume", "--config", "same.ini").resume is not None


def test_another_seed_is_refused_on_resume():
    """It splits the data: held-back files would be trained on."""
    parse("data.path=x").open_run()
    with pytest.raises(ConfigError, match=r"train\.seed \(0 -> 5\)"):
        parse("--resume", "train.seed=5")
    assert parse("--resume", "train.seed=0").config.train.seed == 0


def test_resume_looks_into_the_folder_of_runs_that_is_asked_for():
    run = parse("data.path=x", "train.runs=far away", "--experiment", "a").open_run()
    assert run.directory.parent == Path("far away").absolute()
    assert parse("--resume", "train.runs=far away").resume == run
    assert parse("--resume", "a", "train.runs=far away").resume == run
    with pytest.raises(FileNotFoundError, match="no run in 'runs'"):
        parse("--resume")


def raises(error):
    def main():
        raise error

    return main


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ConfigError("unknown config key 'a'"), "error: unknown config key 'a'"),
        (ValueError("two\n  lines"), "error: two lines"),
        (FileNotFoundError("no audio in 'x'"), "error: no audio in 'x'"),
        (
            OSError(errno.ENOSPC, "No space left on device", "runs/a.pt"),
            "error: No space left on device: 'runs/a.pt'; free space, then go on with --resume",
        ),
        (ImportError("pip install x"), "error: pip install x"),
        (FloatingPointError("loss is nan"), "error: loss is nan"),
        (KeyboardInterrupt(), "error: interrupted; --resume goes on from the last checkpoint"),
        (ValueError(), "error: ValueError"),
    ],
)
def test_what_a_user_can_mend_is_one_line(capsys, monkeypatch, error, line):
    assert run_recipe(raises(error)) == 1
    assert capsys.readouterr().err == f"{line}\n"
    monkeypatch.setenv("ADP_DEBUG", "1")
    assert run_recipe(raises(error)) == 1
    assert "Traceback" in capsys.readouterr().err


def test_under_torchrun_one_process_tells_what_all_meet(capsys, monkeypatch):
    waited = []
    monkeypatch.setattr(time, "sleep", waited.append)
    for rank in ("0", "1"):
        monkeypatch.setenv("RANK", rank)
        assert run_recipe(raises(ValueError("a"))) == 1
        assert capsys.readouterr().err == "error: a\n"
    assert waited == [3.0]  # only the second: torchrun ends it meanwhile if the first fails too

    def ended(seconds):
        raise SystemExit(-15)

    monkeypatch.setattr(time, "sleep", ended)
    with pytest.raises(SystemExit):
        run_recipe(raises(ValueError("a")))
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("error", [TypeError("a"), RuntimeError("b"), KeyError("c")])
def test_a_bug_shows_its_traceback(capsys, error):
    assert run_recipe(raises(error)) == 1
    shown = capsys.readouterr().err
    assert "Traceback" in shown and type(error).__name__ in shown


def test_success_is_zero_and_help_passes_through():
    assert run_recipe(lambda: None) == 0
    assert run_recipe(lambda: 1) == 1
    with pytest.raises(SystemExit):
        run_recipe(lambda: sys.exit(0))


class Failing(Dataset):
    def __init__(self, error):
        self.error = error

    def __len__(self):
        return 2

    def __getitem__(self, index):
        raise self.error


def test_an_error_of_a_worker_is_one_line(capsys):
    def main():
        error = ValueError("clip 'ü: b.wav' holds NaN: mend\nit")
        next(iter(DataLoader(Failing(error), num_workers=1)))

    assert run_recipe(main) == 1
    assert capsys.readouterr().err == "error: clip 'ü: b.wav' holds NaN: mend it\n"


def test_an_error_of_a_worker_that_cannot_be_rebuilt_is_judged_by_its_name():
    text = (
        "Caught {0} in DataLoader worker process 0.\nOriginal Traceback (most recent call last):\n"
        '  File "a.py", line 3, in b\n    raise ValueError("inner")\n{0}: it is\nbroken\n'
    )
    expected = RuntimeError(text.format("UnicodeDecodeError"))
    assert is_expected(expected) and one_line(expected) == "it is broken"
    assert not is_expected(RuntimeError(text.format("ZeroDivisionError")))
    inner = ValueError(text.format("ValueError"))
    assert one_line(inner) == "it is broken"


def test_a_full_disk_inside_torch_save_is_expected():
    error = RuntimeError("[enforce fail] . PytorchStreamWriter failed writing file data/0")
    assert is_expected(error) and "free space" in one_line(error)


def test_a_recipe_as_a_program(tmp_path):
    script = tmp_path / "train_ä b.py"
    script.write_text(
        "from __future__ import annotations\n"
        f"import sys\nsys.path[:0] = {sys.path!r}\n"
        "from dataclasses import dataclass, field\nfrom pathlib import Path\n"
        "from audio_diffusion_pytorch.training.command_line import parse_recipe, run_recipe\n"
        "@dataclass\nclass Train:\n    max_steps: int = 3\n    runs: Path = Path('runs')\n"
        "@dataclass\nclass Config:\n    train: Train = field(default_factory=Train)\n"
        "def main() -> None:\n"
        "    run = parse_recipe('Toy.', Config).open_run()\n"
        "    print('run:', run.directory)\n"
        "sys.exit(run_recipe(main))\n",
        encoding="utf-8",
    )

    def start(*words):
        return subprocess.run(
            [sys.executable, "-X", "utf8", str(script), *words],
            cwd=tmp_path,
            capture_output=True,
            encoding="utf-8",
            check=False,
            timeout=120,
        )

    done = start("train.max_steps=4")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.strip().endswith("_ä b")
    wrong = start("train.max_step=4")
    assert wrong.returncode == 1 and wrong.stdout == ""
    assert wrong.stderr == (
        "error: unknown config key 'train.max_step'; did you mean 'train.max_steps'?\n"
    )
