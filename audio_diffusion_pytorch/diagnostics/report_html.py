"""The report as one HTML page: no script, no network, light and dark."""

from __future__ import annotations

import base64
import html
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from .charts import curve_svg, sound_svg
from .files import write_aside
from .report import CurvePlot, MetricRow, Remark, Report, Section, Sound
from .report_style import STYLE
from .wav import wav_bytes

_VERDICTS = {
    "pass": ("✓", "all targets met"),
    "warn": ("!", "look closer"),
    "fail": ("✗", "target missed"),
    "info": ("i", "for information"),
}
_ROW_WORDS = {"pass": "pass", "warn": "look closer", "fail": "missed", "info": ""}
_REMARK_WORDS = {"pass": "ok", "warn": "suspicious", "fail": "wrong", "info": "note"}
_WORST_FIRST = ("fail", "warn", "pass", "info")


def write_report(
    path: str | Path, report: Report, *, max_sounds: int = 16, max_seconds: float = 30.0
) -> None:
    """Writes the report as one HTML file that needs nothing beside itself, network included.

    Args:
        path: the file; written aside, then renamed.
        report: what to show.
        max_sounds: players at most; the page says how many more there were.
        max_seconds: of each sound, at most.

    Raises:
        OSError: the file cannot be written; an earlier one is left as it was.
    """
    write_aside(path, render_report(report, max_sounds, max_seconds))


def render_report(report: Report, max_sounds: int = 16, max_seconds: float = 30.0) -> str:
    """The HTML text of a report; all text in it is escaped."""
    body = [_head(report)]
    if report.rows:
        body.append(_section("Results", _table(report)))
    body += [_remarks(part, max_seconds) for part in report.sections]
    body += [_section(curve.title, _curve(curve)) for curve in report.curves]
    body += _sounds(report, max_sounds, max_seconds)
    if report.notes:
        items = "".join(f"<li>{_text(note)}</li>" for note in report.notes)
        body.append(_section("Notes", f"<ul>{items}</ul>"))
    for title, values in (("Settings", report.config), ("Versions", report.versions)):
        if values:
            body.append(f"<details><summary>{title}</summary>{_settings(values)}</details>")
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        # The page can fetch nothing, so it looks the same without a network and for ever.
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; '
        "style-src 'unsafe-inline'; img-src data:; media-src data:\">"
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        f"<title>{_text(report.title)}</title><style>{STYLE}</style></head>\n"
        f"<body><main>{''.join(body)}</main></body></html>\n"
    )


def _head(report: Report) -> str:
    sign, words = _VERDICTS[report.overall]
    words = _text(report.badge) or words
    badge = f'<p class="badge {report.overall}"><span aria-hidden="true">{sign}</span> {words}</p>'
    badge = badge if report.rows or report.sections or report.verdict else ""
    subtitle = f'<p class="subtitle">{_text(report.subtitle)}</p>' if report.subtitle else ""
    paragraphs = "".join(f'<p class="lead">{_text(text)}</p>' for text in report.paragraphs)
    figures = "".join(
        f"<div><dt>{_text(label)}</dt><dd>{_text(value)}</dd></div>"
        for label, value in report.figures
    )
    figures = f'<dl class="figures">{figures}</dl>' if figures else ""
    title = f"<div><h1>{_text(report.title)}</h1>{subtitle}</div>{badge}"
    return f'<header><div class="title">{title}</div>{paragraphs}{figures}</header>'


def _table(report: Report) -> str:
    rows = "".join(
        f'<tr><th scope="row">{_text(row.name)}</th><td class="number">{_value(row)}</td>'
        f"<td>{_text(row.target)}</td><td>{_mark(row.verdict)}</td></tr>"
        for row in report.rows
    )
    head = '<th scope="col">Measure</th><th scope="col" class="number">Value</th>'
    head += '<th scope="col">Target</th><th scope="col">Verdict</th>'
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
    return f'<div class="wide">{table}</div>'


def _remarks(part: Section, max_seconds: float) -> str:
    """A section of remarks, the worst first; those that are right wait folded under their count."""
    ordered = sorted(part.remarks, key=lambda remark: _WORST_FIRST.index(remark.row.verdict))
    fine = [remark for remark in ordered if remark.row.verdict == "pass"]
    note = f'<p class="quiet">{_text(part.note)}</p>' if part.note else ""
    content = "".join(_remark(remark, max_seconds) for remark in ordered if remark not in fine)
    if fine:
        count = f"{len(fine)} check{'s' if len(fine) != 1 else ''}"
        listed = "".join(_remark(remark, max_seconds) for remark in fine)
        mark = _sign("pass", f"{count} ok")
        content += f'<details class="fine"><summary>{mark}</summary>{listed}</details>'
    return _section(part.title, f"{note}{content}")


def _remark(remark: Remark, max_seconds: float) -> str:
    row = remark.row
    mark = _sign(row.verdict, _REMARK_WORDS[row.verdict])
    remedy = f'<p class="remedy">{_text(row.target)}</p>' if row.target else ""
    shown = "".join(
        f'<p class="quiet">{_text(curve.title)}</p>{_curve(curve)}' for curve in remark.curves
    )
    cards = "".join(_sound(sound, max_seconds) for sound in remark.sounds)
    shown += f'<div class="sounds">{cards}</div>' if cards else ""
    if shown and row.verdict in ("pass", "info"):
        what = " and ".join(
            word for word, there in (("plots", remark.curves), ("sounds", cards)) if there
        )
        shown = f'<details class="folded"><summary>{what}</summary>{shown}</details>'
    return (
        f'<article class="remark"><h3>{mark} {_text(row.name)}</h3>'
        f"<p>{_text(row.shown)}</p>{remedy}{shown}</article>"
    )


def _curve(curve: CurvePlot) -> str:
    return curve_svg(curve.lines, _clean(curve.title), curve.log, curve.x_label, curve.y_label)


def _value(row: MetricRow) -> str:
    """The value with a true minus sign, as wide as a digit."""
    shown = _text(row.shown)
    return shown if isinstance(row.value, str) else shown.replace("-", "\N{MINUS SIGN}")


def _mark(verdict: str) -> str:
    if verdict == "info":
        return ""
    return _sign(verdict, _ROW_WORDS[verdict])


def _sign(verdict: str, words: str) -> str:
    sign = _VERDICTS[verdict][0]
    return f'<span class="mark {verdict}"><span aria-hidden="true">{sign}</span> {words}</span>'


def _sounds(report: Report, max_sounds: int, max_seconds: float) -> list[str]:
    shown = report.sounds[:max_sounds]
    groups: dict[str, list[Sound]] = {}
    for sound in shown:
        groups.setdefault(sound.group, []).append(sound)
    sections = []
    for group, sounds in groups.items():
        cards = "".join(_sound(sound, max_seconds) for sound in sounds)
        sections.append(_section(group or "Sounds", f'<div class="sounds">{cards}</div>'))
    left_out = len(report.sounds) - len(shown)
    if left_out > 0:
        sections.append(f'<p class="quiet">{left_out} more sounds are in the run folder.</p>')
    return sections


def _sound(sound: Sound, max_seconds: float) -> str:
    samples = max(1, int(max_seconds * sound.sample_rate))
    audio = sound.audio[..., :samples]
    player = base64.b64encode(wav_bytes(audio, sound.sample_rate)).decode("ascii")
    title = _clean(sound.title)
    finite = torch.nan_to_num(sound.audio, nan=0.0, posinf=0.0, neginf=0.0)
    facts = [
        f"{sound.audio.shape[-1] / sound.sample_rate:.2f} s",
        {1: "mono", 2: "stereo"}.get(sound.audio.shape[0], f"{sound.audio.shape[0]} channels"),
        f"peak {_decibel(float(finite.abs().max()))}",
        f"RMS {_decibel(float(finite.square().mean().sqrt()))}",
    ]
    if audio.shape[-1] < sound.audio.shape[-1]:
        facts.append(f"first {max_seconds:g} s shown")
    broken = int((~torch.isfinite(sound.audio)).sum())
    if broken:
        facts.append(f"{broken} samples are not finite")
    note = f"<p>{_text(sound.note)}</p>" if sound.note else ""
    return (
        f"<figure>{sound_svg(audio, sound.sample_rate, title)}"
        f'<audio controls preload="metadata" aria-label="{_text(title)}" '
        f'src="data:audio/wav;base64,{player}"></audio>'
        f"<figcaption><b>{_text(title)}</b>{note}"
        f'<p class="quiet">{" · ".join(facts)}</p></figcaption></figure>'
    )


def _decibel(level: float) -> str:
    text = f"{20 * math.log10(level):.1f} dBFS" if level > 1e-9 else "-∞ dBFS"
    return text.replace("-", "\N{MINUS SIGN}")


def _settings(values: Mapping[str, Any], prefix: str = "") -> str:
    rows = "".join(
        f'<tr><th scope="row">{_text(f"{prefix}{key}")}</th><td>{_text(_shown(value))}</td></tr>'
        for key, value in values.items()
        if not isinstance(value, Mapping)
    )
    table = f'<table class="settings">{rows}</table>' if rows else ""
    nested = "".join(
        _settings(value, f"{prefix}{key}.")
        for key, value in values.items()
        if isinstance(value, Mapping)
    )
    return table + nested


def _shown(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(_shown(item) for item in value)
    if value is None or isinstance(value, bool):
        return str(value).lower()
    return str(value)


def _section(title: str, content: str) -> str:
    return f"<section><h2>{_text(title)}</h2>{content}</section>"


def _clean(text: str) -> str:
    """Text that HTML can hold: no control characters, no bytes of file names that are no text."""
    text = text.encode("utf-8", "replace").decode("utf-8")
    return re.sub(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]", "\N{REPLACEMENT CHARACTER}", text)


def _text(text: str) -> str:
    return html.escape(_clean(text), quote=True)
