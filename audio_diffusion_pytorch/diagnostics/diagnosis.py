"""What the doctor found, group by group: for a terminal, a page and a file."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

from tqdm.auto import tqdm

from .finding import Finding, Severity, faults, findings_text, worst
from .gathering import failure, noting_failures
from .report import Remark, Report, Section, Verdict

_BADGES: dict[Severity, tuple[Verdict, str]] = {
    "ok": ("pass", "nothing wrong found"),
    "suspicious": ("warn", "something suspicious"),
    "wrong": ("fail", "something is wrong"),
}
GROUP_TITLES = {
    "data": "Data",
    "space": "Space",
    "schedule": "Noise schedule",
    "losses": "Loss against the possible",
    "learning": "Learning",
    "conditioning": "Conditioning",
    "sampling": "Sampling",
}
"""The groups of checks in the order of cause and effect: what is wrong early spoils all later."""


@dataclass(frozen=True)
class Part:
    """One group of checks to be made.

    Attributes:
        group: A key of `GROUP_TITLES`.
        examine: Makes the checks.
        seconds: How long it may take, in s, on two cores; the progress bar's share.
        name: Of this part, where a group has several.
        nothing: What it means if no check is made, such as "left out: there is no condition".
    """

    group: str
    examine: Callable[[], Sequence[Finding]]
    seconds: float = 1.0
    name: str = ""
    nothing: str = ""


@dataclass(frozen=True)
class Examined:
    """What one group of checks found.

    Attributes:
        group: A key of `GROUP_TITLES`.
        findings: Of each check.
        seconds: How long they took, in s.
        notes: What was left out, and why.
    """

    group: str
    findings: tuple[Finding, ...] = ()
    seconds: float = 0.0
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Diagnosis:
    """All that the doctor found.

    Attributes:
        examined: By group, in the order of cause and effect.
        about: What was examined, in a few words.
    """

    examined: tuple[Examined, ...]
    about: str = ""

    @property
    def findings(self) -> list[Finding]:
        """Every finding, in the order of cause and effect."""
        return [finding for part in self.examined for finding in part.findings]

    @property
    def faults(self) -> list[Finding]:
        """The findings that are not ok: the worst first, causes before their consequences."""
        return faults(self.findings)

    @property
    def worst(self) -> Severity:
        """The worst verdict."""
        return worst(self.findings)

    @property
    def notes(self) -> list[str]:
        """What was left out, and why."""
        return [note for part in self.examined for note in part.notes]

    def joined(self, later: Diagnosis) -> Diagnosis:
        """Return both, the parts of each group together."""
        found: dict[str, Examined] = {}
        for part in (*self.examined, *later.examined):
            found[part.group] = _joined(found.get(part.group, Examined(part.group)), part)
        ordered = [found[group] for group in GROUP_TITLES if group in found]
        return Diagnosis(tuple(ordered), later.about or self.about)

    def noting(self, group: str, why: str) -> Diagnosis:
        """Return the same with a note on what was left out of a group, and why."""
        return self.joined(Diagnosis((Examined(group, notes=(why,)),), self.about))

    def finding(self, check: str) -> Finding:
        """Return the finding of a check.

        Raises:
            KeyError: It was not made.
        """
        for finding in self.findings:
            if finding.check == check:
                return finding
        raise KeyError(f"no check {check!r} was made; made were {[f.check for f in self.findings]}")

    def sentence(self) -> str:
        """Return the result in one sentence."""
        count = len(self.findings)
        made = f"{count} check{'s' if count != 1 else ''}"
        found = [finding.verdict for finding in self.faults]
        said = "nothing wrong found"
        if found:
            words = [f"{found.count(v)} {v}" for v in ("wrong", "suspicious") if v in found]
            said = f"{' and '.join(words)}, first of all {self.first().check}"
        return "; ".join([f"{made}: {said}", *self.left_out()])

    def left_out(self) -> list[str]:
        """Return which groups were left out, and which in part, in a few words each."""
        noted = [part for part in self.examined if part.notes]
        whole = [part.group for part in noted if not part.findings]
        partly = [part.group for part in noted if part.findings]
        count = f"{len(whole)} group{'s' if len(whole) != 1 else ''} left out"
        return [
            *([f"{count}: {', '.join(whole)}"] if whole else []),
            *([f"left out in part: {', '.join(partly)}"] if partly else []),
        ]

    def first(self) -> Finding:
        """Return the finding to mend first: of the worst the earliest that is no mere consequence.

        Raises:
            IndexError: There are no findings.
        """
        return (self.faults or self.findings)[0]

    def text(self) -> str:
        """Return a table for a terminal, group by group, faults first in each."""
        blocks = []
        for part in self.examined:
            lines = [f"{GROUP_TITLES[part.group]} ({part.seconds:.1f} s)"]
            lines += [findings_text(part.findings)] if part.findings else []
            lines += [f"{'note':<10}  {note}" for note in part.notes]
            blocks.append("\n".join(lines))
        return "\n\n".join([*blocks, self.sentence()])

    def sections(self, prefix: str = "", *, sounds: bool = True) -> list[Section]:
        """Return the sections of a report, one for each group.

        Args:
            prefix: Stands before each title.
            sounds: Whether there are players.
        """
        return [
            Section(
                prefix + GROUP_TITLES[part.group],
                tuple(
                    Remark(found.row, found.curves, found.sounds if sounds else ())
                    for found in part.findings
                ),
                "; ".join(part.notes),
            )
            for part in self.examined
        ]

    def report(self, title: str = "What the doctor found") -> Report:
        """Return a report with a section for each group; `write_report` makes a page of it."""
        report = Report(title, self.about)
        report.verdict, report.badge = _BADGES[self.worst]
        if self.worst == "ok" and self.left_out():
            report.badge += " in what could be examined"
        report.paragraph(f"{self.sentence()}.")
        if self.faults:
            report.paragraph(
                "Mend from the top: what is wrong early makes all that follows look wrong, too."
            )
        for verdict in ("wrong", "suspicious", "ok"):
            report.figure(verdict, sum(found.verdict == verdict for found in self.findings))
        report.figure("time", sum(part.seconds for part in self.examined), "s")
        if self.faults:
            rows = tuple(Remark(fault.row) for fault in self.faults)
            report.sections.append(Section("To mend", rows, "plots are further down"))
        report.sections.extend(self.sections())
        return report

    def to_dict(self) -> dict[str, Any]:
        """Return verdict, sentence and the findings by group, as JSON values."""
        return {
            "about": self.about,
            "verdict": self.worst,
            "sentence": self.sentence(),
            "groups": {
                part.group: {
                    "seconds": round(part.seconds, 2),
                    "notes": list(part.notes),
                    "findings": [_plain(found.to_dict()) for found in part.findings],
                }
                for part in self.examined
            },
        }


def examine_parts(
    parts: Sequence[Part],
    left_out: Sequence[tuple[str, str]] = (),
    *,
    about: str = "",
    show_progress: bool = False,
) -> Diagnosis:
    """Make the checks of each part; one that fails never hides the others.

    Args:
        parts: What to examine; groups come in the order of `GROUP_TITLES`.
        left_out: Groups, and why they, or some of their checks, are not examined.
        about: What is examined.
        show_progress: Show a bar with the time left.
    """
    ordered = sorted(parts, key=lambda part: [*GROUP_TITLES].index(part.group))
    total = sum(part.seconds for part in ordered)
    shape = "{desc:<28} {bar:24} {percentage:3.0f} %, {elapsed} gone, about {remaining} left"
    bar = tqdm(total=total, bar_format=shape, leave=False) if show_progress else nullcontext()
    found = {group: Examined(group) for group in GROUP_TITLES}
    for group, why in left_out:
        found[group] = _joined(found[group], Examined(group, notes=(why,)))
    with bar as shown:
        for part in ordered:
            if shown is not None:
                shown.set_description_str(part.name or GROUP_TITLES[part.group])
            found[part.group] = _joined(found[part.group], _examined(part))
            if shown is not None:
                shown.update(part.seconds)
    asked = {part.group for part in parts} | {group for group, _ in left_out}
    return Diagnosis(tuple(found[group] for group in GROUP_TITLES if group in asked), about)


def _examined(part: Part) -> Examined:
    started = time.perf_counter()
    with noting_failures() as failures:
        try:
            findings = tuple(part.examine())
        except Exception as error:  # what every check of the group needs
            findings = ()
            failures.append(failure(part.name or GROUP_TITLES[part.group].lower(), error))
    nothing = not findings and not failures and part.nothing
    notes = (part.nothing,) if nothing else tuple(failures)
    return Examined(part.group, findings, time.perf_counter() - started, notes)


def _joined(first: Examined, second: Examined) -> Examined:
    return Examined(
        first.group,
        first.findings + second.findings,
        first.seconds + second.seconds,
        first.notes + second.notes,
    )


def _plain(value: Any) -> Any:
    """Return JSON values: numbers that are not finite become words."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value
