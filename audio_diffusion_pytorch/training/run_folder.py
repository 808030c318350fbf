"""The folder of one training run: `runs/{date}-{time}_{experiment}/` and what lies in it."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from audio_diffusion_pytorch.diagnostics.files import write_aside

from .config import config_to_dict, save_config
from .console import tee_console
from .versions import git_revision, versions

_NAME = re.compile(r"(\d{8}-\d{6})(?:-(\d+))?_(.+)", re.DOTALL)
_FORBIDDEN = re.compile(r'[/\\:*?"<>|\x00-\x1f\x7f]')


@dataclass(frozen=True)
class Run:
    """A run folder, with `checkpoints/`, `samples/`, `logs/` and the files named below.

    Attributes:
        directory: the folder, absolute, so that the run goes on if the program changes folder.
    """

    directory: Path

    @classmethod
    def create(cls, runs: str | Path, experiment: str, config: Any) -> Run:
        """Makes a new folder in `runs`, with `config` (a dataclass) archived in it.

        Two runs of one second get different folders: the later one has `-2` behind its time.

        Raises:
            ValueError: `experiment` cannot be part of a folder's name.
            OSError: the folder cannot be written.
        """
        check_experiment(experiment)
        stamp = datetime.now().strftime("%Y%m%d-%H%M%S")
        parent = Path(runs).absolute()
        try:
            parent.mkdir(parents=True, exist_ok=True)
            return cls._create_in(parent, stamp, experiment, config)
        except OSError as error:
            raise OSError(
                error.errno,
                f"cannot make a run folder in {parent} ({error.strerror}); choose another "
                "train.runs",
            ) from error

    @classmethod
    def _create_in(cls, parent: Path, stamp: str, experiment: str, config: Any) -> Run:
        # Counting over all experiments keeps "newest run" well defined within one second.
        taken = [run.order[1] for run in cls.all(parent) if run.order[0] == stamp]
        count = max(taken, default=0) + 1
        while True:
            suffix = "" if count == 1 else f"-{count}"
            directory = parent / f"{stamp}{suffix}_{experiment}"
            try:
                directory.mkdir()
                break
            except FileExistsError:
                count += 1
        run = cls(directory)
        for folder in (run.checkpoints, run.samples, run.logs):
            folder.mkdir()
        save_config(config, run.config_path)
        return run

    @classmethod
    def find(
        cls,
        name_or_path: str | Path | None,
        runs: str | Path = "runs",
        *,
        with_weights: bool = False,
    ) -> Run:
        """An existing run.

        Args:
            name_or_path: a run folder (its path, or its name inside `runs`), or an experiment's
                name for its newest run; None or "" for the newest run of all.
            runs: the folder of the runs.
            with_weights: whether runs that have saved weights come before newer ones without.

        Raises:
            FileNotFoundError: there is none; the line lists the known experiments.
        """
        known = cls.all(runs)
        if with_weights:
            known.sort(key=lambda run: run.weights.is_file())  # stable: by age among equals
        if name_or_path is None or str(name_or_path) == "":
            if not known:
                raise FileNotFoundError(f"no run in '{runs}': train first, or name a run folder")
            return known[-1]
        for place in (Path(name_or_path), Path(runs) / name_or_path):
            if (place / "config.yaml").is_file():
                return cls(place.absolute())
        matching = [run for run in known if run.experiment == str(name_or_path)]
        if matching:
            return matching[-1]
        experiments = ", ".join(dict.fromkeys(run.experiment for run in reversed(known)))
        raise FileNotFoundError(
            f"no run '{name_or_path}' in '{runs}'; "
            + (f"known experiments: {experiments}" if known else "there is none yet: train first")
        )

    @classmethod
    def all(cls, runs: str | Path) -> list[Run]:
        """Every run in the folder `runs`, oldest first; none if there is no such folder."""
        folder = Path(runs).absolute()
        if not folder.is_dir():
            return []
        found = [
            cls(place)
            for place in folder.iterdir()
            if _NAME.fullmatch(place.name) and (place / "config.yaml").is_file()
        ]
        return sorted(found, key=lambda run: run.order)

    @property
    def order(self) -> tuple[str, int]:
        """Date and time, and the count within that second: runs sort by it."""
        match = _NAME.fullmatch(self.directory.name)
        return (match[1], int(match[2] or 1)) if match else ("", 0)

    @property
    def experiment(self) -> str:
        """The experiment's name (the folder's whole name if it was renamed by hand)."""
        match = _NAME.fullmatch(self.directory.name)
        return match[3] if match else self.directory.name

    @property
    def checkpoints(self) -> Path:
        """`checkpoints/`: last, best and the weights."""
        return self.directory / "checkpoints"

    @property
    def weights(self) -> Path:
        """`checkpoints/last.safetensors`: the averaged weights of the last checkpoint."""
        return self.checkpoints / "last.safetensors"

    @property
    def samples(self) -> Path:
        """`samples/`: sounds and their pictures."""
        return self.directory / "samples"

    @property
    def logs(self) -> Path:
        """`logs/`: `scalars.jsonl`, `console.log`, TensorBoard's event files."""
        return self.directory / "logs"

    @property
    def config_path(self) -> Path:
        """`config.yaml`: the resolved settings."""
        return self.directory / "config.yaml"

    @property
    def report_path(self) -> Path:
        """`report.html`."""
        return self.directory / "report.html"

    @property
    def labels_path(self) -> Path:
        """`labels.json`: the label columns and their values."""
        return self.directory / "labels.json"

    @property
    def summary_path(self) -> Path:
        """`summary.json`."""
        return self.directory / "summary.json"

    def save_config(self, config: Any) -> None:
        """Archives `config` anew, for a run that goes on with other limits."""
        save_config(config, self.config_path)

    @contextmanager
    def console(self) -> Iterator[None]:
        """Inside it, all that Python prints also goes to the end of `logs/console.log`."""
        with tee_console(self.logs / "console.log"):
            yield

    def write_summary(
        self,
        config: Any,
        *,
        completed: bool,
        steps: int,
        minutes: float,
        parameters: int,
        epochs: float | None = None,
        final_loss: float | None = None,
        best_loss: float | None = None,
        metrics: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Writes `summary.json` (aside, then renamed) and returns what it holds.

        Args:
            config: the settings as a dataclass.
            completed: whether training reached its end.
            steps: optimiser steps done.
            minutes: time spent in training.
            parameters: the model's number of parameters.
            epochs: passes over the data, also in parts.
            final_loss: the last loss.
            best_loss: the lowest validation loss.
            metrics: further results by name; nested dictionaries are welcome.

        Raises:
            OSError: the file cannot be written; an earlier one is left as it was.
        """
        summary = {
            "completed": completed,
            "name": self.experiment,
            "final_loss": final_loss,
            "best_loss": best_loss,
            "steps": steps,
            "epochs": epochs,
            "minutes": minutes,
            "parameters": parameters,
            "metrics": dict(metrics or {}),
            "config": config_to_dict(config),
            "directory": self.directory.as_posix(),
            "git_revision": git_revision(),
            "versions": versions(),
        }
        plain: dict[str, Any] = _json_ready(summary)
        text = json.dumps(plain, indent=2, ensure_ascii=False, allow_nan=False)
        write_aside(self.summary_path, text + "\n")
        return plain

    def read_summary(self) -> dict[str, Any]:
        """What `summary.json` holds.

        Raises:
            FileNotFoundError: the run has not written one yet.
            ValueError: the file is not JSON.
        """
        try:
            summary: dict[str, Any] = json.loads(self.summary_path.read_text(encoding="utf-8"))
        except json.JSONDecodeError as error:
            raise ValueError(f"'{self.summary_path}' is not JSON: {error.msg}") from None
        return summary


def check_experiment(experiment: str) -> None:
    """Refuses a name that cannot stand in a folder's name on every system.

    Raises:
        ValueError: it is empty, too long, or holds a character that folders may not have.
    """
    wrong = _FORBIDDEN.search(experiment)
    if wrong:
        raise ValueError(
            f"experiment name {experiment!r} holds {wrong[0]!r}; use letters, digits, - and _"
        )
    if not experiment.strip() or experiment != experiment.strip(" .") or len(experiment) > 100:
        raise ValueError(
            f"experiment name {experiment[:120]!r} must have 1 to 100 characters and no blank or "
            "dot at its ends"
        )


def _json_ready(value: Any) -> Any:
    """Plain JSON: non-finite numbers become null, scalars of other libraries become numbers."""
    if isinstance(value, Mapping):
        return {str(key): _json_ready(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_json_ready(item) for item in value]
    if isinstance(value, Path):
        return value.as_posix()
    if hasattr(value, "tolist") and not isinstance(value, str):  # numpy and torch
        return _json_ready(value.tolist())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, bool | int | str) else str(value)
