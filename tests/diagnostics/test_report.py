"""The report: one file that stands alone, whose players hold the very samples, all text escaped."""

from __future__ import annotations

import base64
import io
import math
import re
import wave
from html.parser import HTMLParser

import pytest
import torch

from audio_diffusion_pytorch.diagnostics import (
    MetricRow,
    Report,
    format_table,
    wav_bytes,
    write_report,
)
from audio_diffusion_pytorch.diagnostics.charts import _linear_ticks, _log_ticks, curve_svg

VOID = {"meta", "link", "br", "hr", "img", "input"}


class Page(HTMLParser):
    """Checks that tags nest, and collects what is in them."""

    def __init__(self, path):
        super().__init__()
        self.open, self.players, self.links, self.words, self.tags = [], [], [], [], []
        self.source = path.read_text(encoding="utf-8")
        self.feed(self.source)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        if tag not in VOID:
            self.open.append(tag)
        values = dict(attributes)
        assert not any(name.startswith("on") for name in values)
        self.links += [values[name] for name in ("src", "href") if name in values]
        if tag == "audio":
            self.players.append(values)

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] not in ("style", "title"):
            self.words.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())


def samples_of(player):
    kind, _, data = player["src"].partition(",")
    assert kind == "data:audio/wav;base64"
    with wave.open(io.BytesIO(base64.b64decode(data, validate=True))) as reader:
        frames = reader.readframes(reader.getnframes())
        channels, rate = reader.getnchannels(), reader.getframerate()
    return torch.frombuffer(bytearray(frames), dtype=torch.int16).view(-1, channels).T, rate


def full_report(sounds=3):
    report = Report("Piano <b>& notes</b>", "run ü")
    report.paragraph("It plays the <right> note.").figure("steps", 12345).figure("loss", 0.0712345)
    report.metric(MetricRow.at_least("right pitch", 93.75, 90, "%"))
    report.metric(MetricRow.at_most("distance", 1.62, 1.5)).metric(MetricRow("count", 3))
    report.metric(MetricRow.within("level", -1.3, -6, 6, "dB"))
    steps = list(range(1, 2001))
    losses = [1 / step + 0.01 for step in steps]
    report.curve("Loss", {"training": (steps, losses), "validation": ([5, 9], [0.5, math.nan])})
    generator = torch.Generator().manual_seed(0)
    for index in range(sounds):
        audio = torch.rand(1 + index % 2, 800 + index, generator=generator) * 2 - 1
        report.sound(f"sound {index}", audio, 8000 + index, "asked for A4", "Made")
    report.note("A <note>.")
    report.config = {"data": {"path": "/a & b", "channels": (1, 2)}, "name": None, "fast": True}
    report.versions = {"torch": "2.0"}
    return report


def test_the_page_stands_alone_and_nests(tmp_path):
    write_report(tmp_path / "report.html", full_report())
    page = Page(tmp_path / "report.html")
    assert not re.search(r"https?:|//\w|@import|url\(", page.source.split("<body>")[0])
    assert all(link.startswith("data:") for link in page.links)
    assert "http" not in page.text and "script" not in page.tags
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]
    assert page.tags.count("h1") == 1


def test_every_word_is_there_and_escaped(tmp_path):
    write_report(tmp_path / "report.html", full_report())
    page = Page(tmp_path / "report.html")
    for words in (
        "Piano <b>& notes</b>", "run ü", "It plays the <right> note.", "12 345", "0.07123",
        "93.75 %", "at least 90 %", "at most 1.5", "\N{MINUS SIGN}1.3 dB", "-6 to 6 dB",
        "target missed", "Loss", "training", "sound 2", "asked for A4", "A <note>.",
        "data.path", "/a & b", "1, 2", "none", "true", "torch", "2.0",
    ):  # fmt: skip
        assert words in page.text, words
    assert "b" not in page.tags[: page.tags.index("section")]  # the title's <b> is text


def test_the_players_hold_the_samples(tmp_path):
    report = full_report(sounds=5)
    write_report(tmp_path / "report.html", report)
    players = Page(tmp_path / "report.html").players
    assert len(players) == 5
    for player, sound in zip(players, report.sounds, strict=True):
        samples, rate = samples_of(player)
        assert rate == sound.sample_rate
        assert torch.equal(samples, (sound.audio * 32767).round().to(torch.int16))
        assert player["aria-label"] == sound.title and "controls" in player


def test_the_number_and_length_of_sounds_is_limited(tmp_path):
    path = tmp_path / "report.html"
    write_report(path, full_report(sounds=20))
    page = Page(path)
    assert len(page.players) == 16 and "4 more sounds are in the run folder" in page.text
    write_report(path, full_report(sounds=2), max_sounds=1, max_seconds=0.05)
    page = Page(path)
    assert len(page.players) == 1 and samples_of(page.players[0])[0].shape == (1, 400)
    assert "first 0.05 s shown" in page.text


def test_odd_sounds_and_texts_do_not_break_the_page(tmp_path):
    report = Report("\x00 \x1b[31m \udc80", "")
    loud = torch.tensor([[2.0, -3.0, 0.5, math.nan, math.inf]])
    report.sound('"><script>', loud, 8000).sound("silence", torch.zeros(1, 100).numpy(), 8000)
    report.curve("empty", {}).curve("broken", {"a": ([1, 2], [math.nan, math.inf])})
    report.curve("flat", {"a": ([1, 2], [0.0, 0.0]), "b": ([1], [-2.0])})
    report.curve("huge", {"a": ([1, 2], [1e-12, 1e30])})
    report.metric(MetricRow.at_least("nothing", math.nan, 1)).metric(
        MetricRow("w", "ok", "", "warn")
    )
    write_report(tmp_path / "report.html", report)
    page = Page(tmp_path / "report.html")
    assert "script" not in page.tags and "\x00" not in page.source
    assert torch.equal(samples_of(page.players[0])[0], torch.tensor([[32767, -32767, 16384, 0, 0]]))
    assert "2 samples are not finite" in page.text and "No values were logged." in page.text
    assert "\N{MINUS SIGN}∞ dB" in page.text
    assert "nan" not in re.sub(r"data:[^\"]*", "", page.source.split("<body>")[1]).replace(
        '<td class="number">nan', ""
    )


def test_a_failed_write_leaves_the_earlier_page(tmp_path):
    path = tmp_path / "report.html"
    write_report(path, Report("first"))
    report = Report("second")
    report.paragraphs.append(None)  # not a text: rendering fails
    with pytest.raises(AttributeError):
        write_report(path, report)
    assert "first" in path.read_text()
    assert len(list(tmp_path.iterdir())) == 1


def test_the_badge_is_the_worst_verdict():
    report = Report("a")
    assert report.overall == "info"
    report.metric(MetricRow.at_least("a", 2, 1))
    assert report.overall == "pass"
    report.metric(MetricRow("b", 1.0, "", "warn")).metric(MetricRow("c", 1.0))
    assert report.overall == "warn"
    assert report.metric(MetricRow.at_most("d", 2, 1)).overall == "fail"
    report.verdict = "pass"
    assert report.overall == "pass"


def test_targets_include_their_bounds_and_nan_never_passes():
    assert MetricRow.at_least("a", 1.0, 1.0).verdict == "pass"
    assert MetricRow.at_most("a", 1.0, 1.0).verdict == "pass"
    assert MetricRow.within("a", -6.0, -6, 6).verdict == "pass"
    assert MetricRow.within("a", 6.1, -6, 6).verdict == "fail"
    for row in (MetricRow.at_least, MetricRow.at_most):
        assert row("a", math.nan, 1.0).verdict == "fail"


def test_the_table_lines_up():
    rows = [MetricRow.at_least("pitch ü", 93.75, 90, "%"), MetricRow("a\nlonger name", 1234567)]
    lines = format_table(rows).splitlines()
    assert lines[0].split() == ["result", "value", "target", "verdict"]
    column = lines[0].index("value")
    assert [line[column:].split("  ")[0] for line in lines[2:]] == ["93.75 %", "1 234 567"]
    assert lines[2].endswith("pass") and set(lines[1]) == {"-", " "} and len(lines) == 4
    assert format_table([]).startswith("result")


def test_wav_bytes_of_any_shape_and_what_is_refused():
    audio = torch.linspace(-1, 1, 11)
    for given in (audio, audio[None], audio.double().numpy(), audio[None].requires_grad_()):
        with wave.open(io.BytesIO(wav_bytes(given, 44100))) as reader:
            assert (reader.getnchannels(), reader.getsampwidth()) == (1, 2)
            assert reader.getframerate() == 44100 and reader.getnframes() == 11
    with pytest.raises(ValueError, match="expected one sound"):
        wav_bytes(torch.zeros(2, 1, 5), 8000)
    with pytest.raises(ValueError, match="as many values as steps"):
        Report("a").curve("b", {"c": ([1, 2], [1.0])})


@pytest.mark.parametrize("low", [1e-6, 0.07, 0.9, 3.0])
@pytest.mark.parametrize("ratio", [1.001, 1.5, 10, 1e6])
def test_ticks_are_few_and_reach_around_the_values(low, ratio):
    ticks = _log_ticks(low, low * ratio)
    assert ticks[0] <= low and (ticks[-1] >= low * ratio or len(ticks) >= 4)
    assert 2 <= len(ticks) <= 9 and ticks == sorted(set(ticks))
    ticks = _linear_ticks(low, low * ratio)
    assert 2 <= len(ticks) <= 8
    assert low * (1 - 1e-6) <= ticks[0] and ticks[-1] <= low * ratio * (1 + 1e-6)


def test_curves_lie_inside_their_frame_in_the_right_order():
    svg = curve_svg({"a": ([0, 50, 100], [1.0, 0.1, 0.01])}, "t")
    points = re.search(r'<polyline class="line c0" points="([^"]+)"', svg)[1]
    (x0, y0), (x1, y1), (x2, y2) = (map(float, point.split(",")) for point in points.split())
    assert x1 - x0 == pytest.approx(x2 - x1, abs=0.2)
    assert y1 - y0 == pytest.approx(y2 - y1, abs=0.2)  # equal ratios, equal steps: a log axis
    assert x0 >= 0 and x2 <= 760 and y0 >= 0 and y2 <= 260
    many = curve_svg({"a": (range(5000), [1.0 + (i % 2) for i in range(5000)])}, "t", log=False)
    assert "band" in many and len(many) < 40_000
