"""Remarks in a report: each says its words, the worst stand first, plots of what is right fold."""

from __future__ import annotations

import re

import pytest
import torch

from audio_diffusion_pytorch.diagnostics import CurvePlot, MetricRow, Remark, Report, Section, Sound
from audio_diffusion_pytorch.diagnostics.report_html import render_report

CURVE = CurvePlot("error", {"model": ([0.0, 1.0], [1.0, 0.5])}, log=False, x_label="dB")
SOUND = Sound("loudest", torch.linspace(-1, 1, 400)[None], 8000, "a <ramp>")


def remark(name, verdict, curves=(), sounds=()):
    row = MetricRow(name, f"{name} is 3, right is <2", f"set {name}=2", verdict)
    return Remark(row, curves, sounds)


def page(*remarks, **settings):
    report = Report("doctor", **settings)
    report.sections.append(Section("Data & more", remarks, "left out: labels"))
    return report, render_report(report)


def test_every_word_is_there_and_escaped():
    _, text = page(remark("level", "fail", (CURVE,), (SOUND,)))
    for words in (
        "<h2>Data &amp; more</h2>", "left out: labels", "wrong</span> level", "right is &lt;2",
        "set level=2", "a &lt;ramp&gt;", "<audio", 'class="wide chart"',
    ):  # fmt: skip
        assert words in text, words


def test_the_worst_stands_first_and_else_the_order_stays():
    names = ["a", "b", "c", "d", "e"]
    verdicts = ["pass", "warn", "fail", "pass", "fail"]
    _, text = page(*(remark(*pair) for pair in zip(names, verdicts, strict=True)))
    assert re.findall(r"</span> (\w)</h3>", text) == ["c", "e", "b", "a", "d"]


def test_what_is_right_waits_folded_under_its_count():
    _, text = page(remark("a", "pass"), remark("b", "fail"), remark("c", "pass"))
    wrong, fine = text.split('<details class="fine">')
    assert ">\N{CHECK MARK}</span> 2 checks ok</span></summary>" in fine
    assert " b</h3>" in wrong and " a</h3>" in fine and " c</h3>" in fine
    assert "<details" not in page(remark("b", "fail"))[1]


def test_plots_of_what_is_right_wait_folded():
    _, fine = page(remark("a", "pass", (CURVE,), (SOUND,)))
    _, wrong = page(remark("a", "warn", (CURVE,), (SOUND,)))
    folded = r'<details class="folded"><summary>plots and sounds</summary>.*<svg.*<audio'
    assert re.search(folded, fine) and not re.search(folded, wrong)
    assert "<svg" in wrong and "<audio" in wrong
    _, bare = page(remark("a", "pass"))
    assert 'class="folded"' not in bare


@pytest.mark.parametrize("verdict", ["pass", "warn", "fail"])
def test_the_page_is_as_bad_as_its_worst_remark(verdict):
    report, text = page(remark("a", "pass"), remark("b", verdict))
    assert report.overall == verdict and f'class="badge {verdict}"' in text
    report.rows.append(MetricRow("c", 1.0, verdict="fail"))
    assert report.overall == "fail"


def test_the_badge_has_words_of_its_own():
    _, text = page(remark("a", "pass"), badge="nothing <wrong>")
    assert "nothing &lt;wrong&gt;" in text and "all targets met" not in text
    _, text = page(remark("a", "pass"))
    assert "all targets met" in text
