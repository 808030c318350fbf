"""The command line that every recipe shares, and errors in one line."""

from __future__ import annotations

import argparse
import builtins
import difflib
import errno
import os
import re
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, NoReturn, TypeVar

import torch

from .config import (
    ConfigError,
    config_keys,
    config_text,
    config_to_dict,
    convert_setting,
    load_config,
    read_settings,
    suggestion,
)
from .config_files import flatten
from .run_folder import Run, check_experiment

T = TypeVar("T")

# On resume these may be other than archived without a word: they only say when to stop, and where.
SILENT_KEYS = ("train.max_steps", "train.max_minutes", "train.runs")
# Settings of these sections may change on resume, and it is said; elsewhere a change is refused,
# since the weights and the rest of the epoch belong to the model and the data they came from.
FREE_SECTIONS = ("train", "sample")
# Of these, what also chooses the held-back files: they must not move into the training set.
BOUND_KEYS = ("train.seed",)
OTHERS_WAIT = 3.0
"""Seconds that a process of torchrun other than the first waits before it tells its error."""
EXPECTED_ERRORS = (
    ValueError,
    OSError,
    ImportError,
    KeyboardInterrupt,
    FloatingPointError,
    MemoryError,
    torch.cuda.OutOfMemoryError,
)


@dataclass(frozen=True)
class Arguments(Generic[T]):
    """What a recipe was asked to do.

    Attributes:
        config: the resolved settings.
        resume: the run to go on with, or None for a new one.
        experiment: the experiment's name, part of the run folder's name.
        runs: the folder of the runs.
    """

    config: T
    resume: Run | None
    experiment: str
    runs: Path

    def open_run(self) -> Run:
        """The run folder: the resumed one, its settings archived anew, or a new one."""
        if self.resume is None:
            return Run.create(self.runs, self.experiment, self.config)
        self.resume.save_config(self.config)
        return self.resume


class RecipeParser(argparse.ArgumentParser):
    """A parser whose errors are raised, for `run_recipe` to tell them in one line."""

    def error(self, message: str) -> NoReturn:
        raise ConfigError(f"{message}; see --help")


def parse_recipe(
    description: str, schema: type[T], arguments: Sequence[str] | None = None
) -> Arguments[T]:
    """Reads `[--config FILE] [--resume [RUN]] [--experiment NAME] [key=value ...]`.

    `--resume` takes a run folder or an experiment's name (its newest run), else the newest run;
    the settings archived there are the base, on which the file and the `key=value` words lie.

    Args:
        description: what the recipe does, for `--help`.
        schema: the dataclass of its settings; `train.runs`, if there, is the folder of the runs.
        arguments: the words, by default those of the program.

    Raises:
        ConfigError: an unknown option or key, a wrong value, or a setting of the model or the data
            that differs from that of the resumed run (`data.path` may, if the old one is gone).
        FileNotFoundError: there is no such run.
        SystemExit: after `--help`.
    """
    parser = _recipe_parser(description, schema)
    options, words = parser.parse_known_args(arguments)
    overrides = _only_overrides(words, schema)
    resume = options.resume
    if resume is not None and resume.partition("=")[0] in config_keys(schema):
        overrides.insert(0, resume)  # `--resume key=value`: the word is a setting, not a run
        resume = ""
    runs = _runs_folder(schema, options.config, overrides)
    if resume is None:
        experiment = options.experiment or Path(parser.prog).stem.removeprefix("train_")
        check_experiment(experiment)
        return Arguments(load_config(schema, options.config, overrides), None, experiment, runs)
    run = Run.find(resume or options.experiment, runs)
    try:
        archived = load_config(schema, run.config_path)
    except ConfigError as error:
        raise ConfigError(
            f"cannot resume '{run.directory.name}', which another recipe made: {error}"
        ) from error
    config = load_config(schema, options.config, overrides, base=archived)
    _check_changes(archived, config, run)
    return Arguments(config, run, run.experiment, runs)


def _recipe_parser(description: str, schema: type[Any]) -> RecipeParser:
    parser = RecipeParser(
        description=description,
        usage="%(prog)s [--config FILE] [--resume [RUN]] [--experiment NAME] [key=value ...]",
        epilog="settings (key=value; they win over the file):\n\n" + config_text(schema),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--config", metavar="FILE", help="settings as .ini, .json or .yaml")
    parser.add_argument(
        "--resume",
        nargs="?",
        const="",
        metavar="RUN",
        help="go on with a run: its folder, or an experiment's name for its newest run "
        "(default: the newest run)",
    )
    parser.add_argument("--experiment", metavar="NAME", help="the name of a new run")
    return parser


def _only_overrides(words: Sequence[str], schema: type[Any]) -> list[str]:
    """The `key=value` words; anything else is refused with what it may have meant."""
    overrides = []
    known = config_keys(schema)
    options = ["--config", "--resume", "--experiment", "--help"]
    for word in words:
        if word == "--":
            continue
        if word.startswith("-"):
            name = word.lstrip("-").partition("=")[0]
            option = word.partition("=")[0]
            close = [known_option for known_option in options if known_option.startswith(option)]
            close = close or difflib.get_close_matches(option, options, 1, 0.7)
            hint = f"; did you mean '{close[0]}'?" if close else suggestion(name, known)
            if name in known:
                hint = f"; settings have no dashes: {name}=VALUE"
            raise ConfigError(f"unknown option '{word}'{hint}")
        if "=" not in word:
            raise ConfigError(
                f"unexpected word '{word}'; settings are key=value without blanks around ="
            )
        overrides.append(word)
    return overrides


def _runs_folder(schema: type[Any], file: str | None, overrides: Sequence[str]) -> Path:
    """`train.runs` before the rest is known: a resumed run may hold what the rest still needs."""
    key = config_keys(schema).get("train.runs")
    if key is None:
        return Path("runs")
    raw = read_settings(schema, file, overrides).get(key.path)
    return Path(key.default if raw is None else convert_setting(key.path, raw, key.hint))


def _check_changes(archived: Any, config: Any, run: Run) -> None:
    before, after = flatten(config_to_dict(archived)), flatten(config_to_dict(config))
    changed = [key for key in after if after[key] != before.get(key) and key not in SILENT_KEYS]
    free = [
        key for key in changed if key.partition(".")[0] in FREE_SECTIONS and key not in BOUND_KEYS
    ]
    if "data.path" in changed and not Path(str(before.get("data.path"))).exists():
        free.append("data.path")  # the recordings were moved, or the run is resumed elsewhere
    refused = [key for key in changed if key not in free]
    if refused:
        shown = ", ".join(f"{key} ({before.get(key)} -> {after[key]})" for key in refused)
        raise ConfigError(
            f"cannot resume '{run.directory.name}' with other settings: {shown}; leave them out, "
            "or start a new run without --resume"
        )
    for key in changed if os.environ.get("RANK", "0") == "0" else ():  # once under torchrun
        print(f"resume: {key} changes from {before.get(key)} to {after[key]}")


def run_recipe(main: Callable[[], int | None]) -> int:
    """Runs a recipe; what a user can mend is told in one line `error: ...` on stderr.

    Those are wrong values and files (ValueError, OSError), a missing extra (ImportError), a full
    memory or disk, numbers that are no longer finite, and Ctrl-C. Any other error is a bug and
    shows its traceback, as does every error if the environment has `ADP_DEBUG=1`. Under torchrun
    one process tells what all of them meet.

    Returns:
        The exit status: what `main` returns (None is 0), or 1 after an error.
    """
    try:
        return main() or 0
    except (Exception, KeyboardInterrupt) as error:
        if os.environ.get("RANK", "0") != "0":
            # If the first process failed of the same, torchrun ends this one in the meantime.
            time.sleep(OTHERS_WAIT)
        debug = os.environ.get("ADP_DEBUG", "") not in ("", "0")
        if debug or not is_expected(error):
            traceback.print_exc()
        else:
            print(f"error: {one_line(error)}", file=sys.stderr, flush=True)
        return 1


_CAUGHT = re.compile(r"Caught (\w+) (?:in|while) .*?Original Traceback", re.DOTALL)
_FULL_DISK = "PytorchStreamWriter failed writing"


def is_expected(error: BaseException) -> bool:
    """Whether `error` is one that a user can mend, and no bug."""
    if isinstance(error, EXPECTED_ERRORS):
        return True
    caught = _CAUGHT.match(str(error))  # a worker's error that could not be rebuilt as it was
    kind = getattr(builtins, caught[1], None) if caught else None
    if isinstance(kind, type) and issubclass(kind, EXPECTED_ERRORS):
        return True
    return isinstance(error, RuntimeError) and _FULL_DISK in str(error)


def one_line(error: BaseException) -> str:
    """An error's message in one line; of a worker's error, what its traceback ends with."""
    if isinstance(error, KeyboardInterrupt):
        return "interrupted; --resume goes on from the last checkpoint"
    text = str(error)
    caught = _CAUGHT.match(text)
    if caught:
        ends = re.split(rf"^(?:[\w.]+\.)?{caught[1]}: ", text, flags=re.MULTILINE)
        text = ends[-1] if len(ends) > 1 else text.strip().rpartition("\n")[2]
    elif isinstance(error, OSError) and error.strerror:
        text = error.strerror + (f": '{error.filename}'" if error.filename else "")
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            text += "; free space, then go on with --resume"
    elif _FULL_DISK in text:
        text = "could not write a checkpoint: the disk may be full; free space and --resume"
    return " ".join(text.split()) or type(error).__name__
