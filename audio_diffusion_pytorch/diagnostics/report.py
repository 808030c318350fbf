"""What a run came to: a paragraph in plain words, numbers with their targets, curves, sounds."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from torch import Tensor

from .charts import Lines
from .plots import as_audio

if TYPE_CHECKING:
    from numpy.typing import NDArray

Verdict = Literal["pass", "warn", "fail", "info"]
"""`info` is a number without a target."""


@dataclass(frozen=True)
class MetricRow:
    """One row of the table of results.

    Attributes:
        name: what was measured.
        value: the number, or words.
        target: what it should be, in words such as "at least 90 %".
        verdict: how the value stands to the target.
        unit: of the value, such as "%", "dB", "s".
    """

    name: str
    value: float | str
    target: str = ""
    verdict: Verdict = "info"
    unit: str = ""

    @classmethod
    def at_least(cls, name: str, value: float, bound: float, unit: str = "") -> MetricRow:
        """A row that passes if `value >= bound`."""
        verdict: Verdict = "pass" if value >= bound else "fail"
        return cls(name, value, f"at least {format_value(bound, unit)}", verdict, unit)

    @classmethod
    def at_most(cls, name: str, value: float, bound: float, unit: str = "") -> MetricRow:
        """A row that passes if `value <= bound`."""
        verdict: Verdict = "pass" if value <= bound else "fail"
        return cls(name, value, f"at most {format_value(bound, unit)}", verdict, unit)

    @classmethod
    def within(cls, name: str, value: float, low: float, high: float, unit: str = "") -> MetricRow:
        """A row that passes if `low <= value <= high`."""
        verdict: Verdict = "pass" if low <= value <= high else "fail"
        target = f"{format_value(low)} to {format_value(high, unit)}"
        return cls(name, value, target, verdict, unit)

    @property
    def shown(self) -> str:
        """The value with its unit, in up to four digits."""
        return format_value(self.value, self.unit)


@dataclass(frozen=True)
class CurvePlot:
    """One frame of curves: by name the steps and the values, drawn on a log axis if `log`."""

    title: str
    lines: Lines
    log: bool = True
    x_label: str = "step"
    y_label: str = "loss"


@dataclass(frozen=True)
class Sound:
    """One sound `(c, t)` in -1..1 with a line under it; those of one `group` stand together."""

    title: str
    audio: Tensor
    sample_rate: int
    note: str = ""
    group: str = ""


@dataclass(frozen=True)
class Remark:
    """One thing that was found out, in words, with what shows it.

    Attributes:
        row: its name, message (the value), remedy (the target) and verdict.
        curves: frames of curves under it.
        sounds: sounds under it.
    """

    row: MetricRow
    curves: tuple[CurvePlot, ...] = ()
    sounds: tuple[Sound, ...] = ()


@dataclass(frozen=True)
class Section:
    """Remarks that belong together, under a title of their own."""

    title: str
    remarks: tuple[Remark, ...]
    note: str = ""


@dataclass
class Report:
    """Collects what a run came to; `write_report` of the same folder makes a page of it.

    Attributes:
        title: the headline.
        subtitle: a line under it, such as the run's name.
        verdict: the verdict over all; None: the worst of the rows and the sections.
        badge: the verdict in words; by default words for targets met or missed.
        paragraphs: plain words, first of all.
        figures: key figures: a label and a value.
        rows: the table of results.
        sections: remarks in groups, after the table.
        curves: frames of curves.
        sounds: sounds, each with a player and a picture.
        notes: what a reader should know beside the rest.
        config: the settings, nested dictionaries.
        versions: what the run was made with, by name.
    """

    title: str
    subtitle: str = ""
    verdict: Verdict | None = None
    badge: str = ""
    paragraphs: list[str] = field(default_factory=list)
    figures: list[tuple[str, str]] = field(default_factory=list)
    rows: list[MetricRow] = field(default_factory=list)
    sections: list[Section] = field(default_factory=list)
    curves: list[CurvePlot] = field(default_factory=list)
    sounds: list[Sound] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    config: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, Any] = field(default_factory=dict)

    def paragraph(self, text: str) -> Report:
        """Adds a paragraph in plain words."""
        self.paragraphs.append(text)
        return self

    def figure(self, label: str, value: float | str, unit: str = "") -> Report:
        """Adds a key figure for the head of the page."""
        self.figures.append((label, format_value(value, unit)))
        return self

    def metric(self, row: MetricRow) -> Report:
        """Adds a row to the table of results."""
        self.rows.append(row)
        return self

    def curve(
        self,
        title: str,
        lines: Lines,
        *,
        log: bool = True,
        x_label: str = "step",
        y_label: str = "loss",
    ) -> Report:
        """Adds a frame of curves: by name the steps and the values (as `read_scalars` gives)."""
        for name, (steps, values) in lines.items():
            if len(steps) != len(values):
                raise ValueError(
                    f"curve '{name}': expected as many values as steps, got {len(values)} "
                    f"values for {len(steps)} steps"
                )
        self.curves.append(CurvePlot(title, dict(lines), log, x_label, y_label))
        return self

    def sound(
        self,
        title: str,
        audio: Tensor | NDArray[Any],
        sample_rate: int,
        note: str = "",
        group: str = "",
    ) -> Report:
        """Adds a sound `(c, t)` or `(t,)` in -1..1, `sample_rate` in Hz.

        Raises:
            ValueError: `audio` is not one sound.
        """
        self.sounds.append(Sound(title, as_audio(audio).clone(), sample_rate, note, group))
        return self

    def note(self, text: str) -> Report:
        """Adds a note for the end of the page."""
        self.notes.append(text)
        return self

    @property
    def overall(self) -> Verdict:
        """The verdict over all: the given one, else the worst of the rows and the sections."""
        if self.verdict is not None:
            return self.verdict
        worst: tuple[Verdict, ...] = ("fail", "warn", "pass")
        found = {row.verdict for row in self.rows}
        found |= {remark.row.verdict for part in self.sections for remark in part.remarks}
        return next((verdict for verdict in worst if verdict in found), "info")


def format_table(rows: Sequence[MetricRow]) -> str:
    """The table of results for a terminal, in plain ASCII lines under a header.

    >>> print(format_table([MetricRow.at_least("right pitch", 93.75, 90, "%")]))
    result       value    target         verdict
    -----------  -------  -------------  -------
    right pitch  93.75 %  at least 90 %  pass
    """
    cells = [("result", "value", "target", "verdict")]
    cells += [
        (row.name, row.shown, row.target, "" if row.verdict == "info" else row.verdict)
        for row in rows
    ]
    cells = [tuple(" ".join(cell.split()) for cell in line) for line in cells]  # type: ignore[misc]
    widths = [max(len(line[column]) for line in cells) for column in range(4)]
    cells.insert(1, tuple("-" * width for width in widths))  # type: ignore[arg-type]
    lines = (
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        for line in cells
    )
    return "\n".join(line.rstrip() for line in lines)


def format_value(value: float | str, unit: str = "") -> str:
    """A number in up to four digits with its unit; words stay words."""
    if isinstance(value, str):
        text = value
    elif isinstance(value, int) or (abs(value) >= 1000 and math.isfinite(value)):
        text = f"{value:,.0f}".replace(",", " ")
    else:
        text = f"{value:.4g}"
    return f"{text} {unit}".rstrip()
