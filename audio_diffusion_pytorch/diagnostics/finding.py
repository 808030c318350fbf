"""What a check of the doctor says: a verdict, the number beside the right one, the remedy."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from .report import CurvePlot, MetricRow, Sound, Verdict

Severity = Literal["ok", "suspicious", "wrong"]
"""`suspicious` may be meant so; `wrong` cannot give good sound."""

SEVERITIES: tuple[Severity, ...] = ("ok", "suspicious", "wrong")
"""From harmless to worst."""

_VERDICTS: dict[Severity, Verdict] = {"ok": "pass", "suspicious": "warn", "wrong": "fail"}


@dataclass(frozen=True)
class Finding:
    """The result of one check.

    Attributes:
        check: What was looked at, in a few words that never change, such as "terminal SNR": by
            this name a fault is called.
        verdict: Whether it is right.
        message: One sentence without a full stop: the number found beside the number that would be
            right.
        remedy: What to do, one sentence without a full stop; empty where nothing is to be done.
        figures: Every number behind the message, by name; plain numbers and words.
        curves: What a report draws.
        sounds: What a report plays.
        symptom: A consequence: something else causes it, and stands before it where it was found.
    """

    check: str
    verdict: Severity
    message: str
    remedy: str = ""
    figures: Mapping[str, float | str] = field(default_factory=dict)
    curves: tuple[CurvePlot, ...] = ()
    sounds: tuple[Sound, ...] = ()
    symptom: bool = False

    def __post_init__(self) -> None:
        """Hold every check to its promise.

        Raises:
            ValueError: The verdict is no verdict, or a fault comes without a remedy.
        """
        if self.verdict not in SEVERITIES:
            raise ValueError(f"verdict must be one of {SEVERITIES}, got {self.verdict!r}")
        if self.verdict != "ok" and not self.remedy:
            raise ValueError(f"the check {self.check!r} found something {self.verdict}: say what "
                             "to do about it in remedy")  # fmt: skip

    @property
    def text(self) -> str:
        """One line for a person: check, message and remedy."""
        return f"{self.check}: {self.message}" + (f"; {self.remedy}" if self.remedy else "")

    @property
    def row(self) -> MetricRow:
        """The finding as a row of a report's table."""
        return MetricRow(self.check, self.message, self.remedy, _VERDICTS[self.verdict])

    def to_dict(self) -> dict[str, Any]:
        """Return all but curves and sounds as JSON values."""
        return {
            "check": self.check,
            "verdict": self.verdict,
            "message": self.message,
            "remedy": self.remedy,
            "figures": dict(self.figures),
            "symptom": self.symptom,
        }


def worst(findings: Iterable[Finding]) -> Severity:
    """Return the worst verdict of some findings; of none, "ok"."""
    found = {finding.verdict for finding in findings}
    return next((verdict for verdict in reversed(SEVERITIES) if verdict in found), "ok")


def faults(findings: Iterable[Finding]) -> list[Finding]:
    """Return the findings that are not ok: the worst first, causes before their consequences."""
    listed = [finding for finding in findings if finding.verdict != "ok"]
    return sorted(listed, key=lambda found: (-SEVERITIES.index(found.verdict), found.symptom))


def findings_text(findings: Sequence[Finding]) -> str:
    """Return a table for a terminal: a line each, faults first, remedies under them.

    >>> print(findings_text([Finding("DC", "ok", "mean 0.000, right is 0")]))
    ok          DC: mean 0.000, right is 0
    """
    fine = [finding for finding in findings if finding.verdict == "ok"]
    lines = []
    for finding in [*faults(findings), *fine]:
        lines.append(f"{finding.verdict:<10}  {finding.check}: {finding.message}")
        if finding.remedy:
            lines.append(f"{'':<10}  -> {finding.remedy}")
    return "\n".join(lines)


def graded(value: float, suspicious: float, wrong: float) -> Severity:
    """Return the verdict of a number that is better the smaller it is.

    >>> graded(0.2, suspicious=0.1, wrong=0.5)
    'suspicious'
    """
    if value > wrong:
        return "wrong"
    return "suspicious" if value > suspicious else "ok"
