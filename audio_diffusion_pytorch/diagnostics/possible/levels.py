"""How well a model guesses the clean signal at fixed noise levels, as a table that a run keeps."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from audio_diffusion_pytorch.diagnostics.files import write_aside

LossKind = Literal["mse", "l1"]
"""Whether a loss is a mean square or a mean absolute error."""

DECIBELS = (-20.0, -15.0, -10.0, -5.0, 0.0, 5.0, 10.0, 15.0, 20.0)
"""The fixed levels: how far the data stand over the noise, in dB, by the power of both."""

BY_HEART = 0.1
"""Share of the possible by which that of training clips may go beyond twice that of held-back ones:
32 clips of one kind differ by less, small healthy models by 0.06 at most."""

KNOWN_BY_HEART = 0.3
"""Share of the possible on training clips under which nothing is known by heart, however much less
is known of others."""

LEVELS_NAME = "levels.json"
"""The file of the table in a run folder."""

_FORMAT = 1


@dataclass(frozen=True)
class LossMarks:
    """A training loss, and what it is without having learnt a thing, at the very same times.

    All are unweighted errors of the network's answer, so they belong to one parameterization,
    schedule and distribution of times, and only within these can be compared.

    Attributes:
        kind: Mean square or mean absolute error.
        loss: Of the network.
        zero: Of answering zero.
        loudness: Of the best answer that knows only how loud the data are.
        exact: Whether `kind` is the loss that was trained; else the mean square stands in.
    """

    kind: LossKind
    loss: float
    zero: float
    loudness: float
    exact: bool = True


@dataclass(frozen=True)
class Levels:
    """Mean squared errors of the clean signal by noise level: comparable between any two models.

    Attributes:
        decibels: Levels, in dB of the data over the noise; only those that the schedule reaches.
        model: The model's error at each.
        linear: That of the best linear denoiser, Wiener's, made from training clips.
        loudness: That of the best guess that knows only how loud training clips are.
        variance: That of guessing silence: the mean square of the data.
        clips: How many clips were judged.
        held_back: Whether they were never trained on.
        parameterization: What the network says.
        schedule: The schedule in words.
        num_steps: Of a schedule with numbered steps; 0 for continuous time.
        marks: The training loss on the same clips.
        train_share: The share explained of training clips, where held-back ones were judged; None
            if it was not measured.
        space: What the clips are in the diffusion's space, such as "1 channel in time"; empty if
            an earlier version measured them.
    """

    decibels: tuple[float, ...]
    model: tuple[float, ...]
    linear: tuple[float, ...]
    loudness: tuple[float, ...]
    variance: float
    clips: int
    held_back: bool
    parameterization: str
    schedule: str
    num_steps: int
    marks: LossMarks
    train_share: float | None = None
    space: str = ""

    @property
    def by_heart(self) -> bool:
        """Whether training clips are guessed so much better that they must be known by heart."""
        trained = self.train_share
        if trained is None or trained < KNOWN_BY_HEART:
            return False
        return trained > BY_HEART + max(self.share, 2 * self.share)

    @property
    def share(self) -> float:
        """The share of the possible explained: 0 knows only the loudness, 1 is perfect.

        The mean over levels of `1 - error / loudness`; below 0 is worse than knowing nothing.
        """
        return _mean(self.skill)

    @property
    def linear_share(self) -> float:
        """The same number of the best linear denoiser."""
        return _mean(_skill(self.linear, self.loudness))

    @property
    def silent_share(self) -> float:
        """The same number of guessing silence, far below 0."""
        return _mean(_skill([self.variance] * len(self.decibels), self.loudness))

    @property
    def skill(self) -> tuple[float, ...]:
        """The share explained at each level."""
        return _skill(self.model, self.loudness)

    def at(self, decibels: Sequence[float]) -> Levels:
        """Return the table of some of its levels.

        Raises:
            ValueError: One of them is missing.
        """
        missing = [f"{level:g}" for level in decibels if level not in self.decibels]
        if missing:
            raise ValueError(
                f"the table has no level {', '.join(missing)} dB, it has "
                f"{', '.join(f'{level:g}' for level in self.decibels)}"
            )
        places = [self.decibels.index(level) for level in decibels]
        chosen = {
            name: tuple(getattr(self, name)[place] for place in places)
            for name in ("model", "linear", "loudness")
        }
        return Levels(**{**self.__dict__, **chosen, "decibels": tuple(decibels)})


def write_levels(path: str | Path, levels: Levels) -> None:
    """Write a table as JSON, whole or not at all.

    Args:
        path: A file; in a run folder `levels.json`.
        levels: The table.

    Raises:
        OSError: It cannot be written.
    """
    content = {"format": _FORMAT, "share": levels.share, **asdict(levels)}
    write_aside(path, json.dumps(_plain(content), indent=1) + "\n")


def read_levels(path: str | Path) -> Levels:
    """Read a table.

    Args:
        path: A file of `write_levels`, or a run folder that holds `levels.json`.

    Raises:
        FileNotFoundError: There is none.
        ValueError: The file holds something else.
    """
    path = Path(path)
    path = path / LEVELS_NAME if path.is_dir() else path
    if not path.is_file():
        raise FileNotFoundError(
            f"no table of noise levels at {path}: a run writes it at its first validation; train "
            "with held-back clips, or name another run"
        )
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content.pop("format") != _FORMAT:
            raise ValueError("format")
        content.pop("share")
        lists = ("decibels", "model", "linear", "loudness")
        content |= {name: tuple(float(value) for value in content[name]) for name in lists}
        if len({len(content[name]) for name in lists}) != 1:
            raise ValueError("lengths")
        content["variance"] = float(content["variance"])
        trained = content.get("train_share")
        content["train_share"] = None if trained is None else float(trained)
        content["space"] = str(content.get("space", ""))
        marks = content["marks"]
        numbers = {name: float(marks[name]) for name in ("loss", "zero", "loudness")}
        content["marks"] = LossMarks(marks["kind"], exact=bool(marks["exact"]), **numbers)
        return Levels(**content)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(
            f"{path} is no table of noise levels of this version ({error}): make it anew by "
            "examining that run"
        ) from error


def _skill(errors: Sequence[float], loudness: Sequence[float]) -> tuple[float, ...]:
    return tuple(
        1 - error / known if known > 0 else math.nan
        for error, known in zip(errors, loudness, strict=True)
    )


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else math.nan


def _plain(value: Any) -> Any:
    """Return JSON values; numbers that are not finite become words, which `float` reads."""
    if isinstance(value, dict):
        return {name: _plain(part) for name, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(part) for part in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
