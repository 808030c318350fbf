"""Gaps in held-back notes: cut where they should be, filled, measured and told honestly."""

from __future__ import annotations

import json
import sys

import pytest
import soundfile
import torch

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="forks processes")


@pytest.fixture(scope="module")
def gaps(import_example):
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "linear_prediction", import_example("linear_prediction"))
        return import_example("gaps")


@pytest.fixture(scope="module")
def answers(run_many, tmp_path_factory, small):
    """A model that knows next to nothing, and what it fills."""
    work = tmp_path_factory.mktemp("inpaint")
    train = ["train.max_steps=20", "train.validation_items=1", "sample.num=1", "train.seed=1"]
    cases = {
        "train": ("train_class_conditional.py", [*small, *train]),
        "fill": ("inpaint.py", ["--gaps", "40", "10", "--steps", "2", "--visits", "1"]),
        "long": ("inpaint.py", ["--gaps", "97"]),
        "no time": ("inpaint.py", ["--gaps", "0"]),
        "no visit": ("inpaint.py", ["--visits", "0"]),
        "place": ("inpaint.py", ["--places", "end"]),
        "no run": ("inpaint.py", ["--run", "none"]),
    }
    listing = [
        {"name": name, "script": script, "arguments": arguments, "cwd": str(work)}
        for name, (script, arguments) in cases.items()
    ]
    return work, run_many(listing)


def test_every_gap_is_filled_and_told(answers):
    work, done = answers
    assert done["train"]["code"] == 0, done["train"]["err"]
    fill = done["fill"]
    assert fill["code"] in (0, 1) and fill["err"] == "", fill["err"]
    folder = next((work / "runs").iterdir()) / "inpainting"
    assert fill["out"].splitlines()[-1] == f"inpainting: {folder}"
    figures = json.loads((folder / "inpainting.json").read_text("utf-8"))
    assert [*figures] == ["start, 10 ms", "start, 40 ms", "middle, 10 ms", "middle, 40 ms"]
    for gap, means in figures.items():
        assert [*means] == ["model", "silence", "linear prediction", "least squares"]
        (line,) = (line for line in fill["out"].splitlines() if line.startswith(gap))
        assert [f"{value:.2f}" for value in means.values()] == line.split()[-4:]
        assert means["linear prediction"] < 0.7 * means["silence"]
    page = (folder / "inpainting.html").read_text("utf-8")
    assert page.count("<audio controls") == 2 * 3 * 5 and "40 ms missing at the middle" in page
    assert (folder / "start_comparison.png").stat().st_size > 10000


def test_outside_the_gap_nothing_changes(answers):
    work, _ = answers
    folder = next((work / "runs").iterdir()) / "inpainting"
    for name in ("model", "silence", "linear_prediction", "least_squares"):
        original, rate = soundfile.read(folder / "middle_clip_0_original.wav")
        filled, _ = soundfile.read(folder / f"middle_clip_0_{name}.wav")
        changed = (original != filled).nonzero()[0]
        assert len(original) == 2048 and rate == 16000
        assert 704 <= changed[0] < 720 and 1328 < changed[-1] < 1344  # 640 samples in the middle


def test_bad_input_is_one_line(answers):
    _, done = answers
    for name, words in {
        "long": "--gaps takes milliseconds, up to 96 in clips of 0.13 s, got 97",
        "no time": "got 0",
        "no visit": "--steps and --visits must be at least 1",
        "place": "invalid choice: 'end'",
        "no run": "no run 'none' in 'runs'; known experiments: class_conditional",
    }.items():
        assert done[name]["code"] == 1 and words in done[name]["err"], done[name]
        assert done[name]["err"].startswith("error: ") and done[name]["err"].count("\n") == 1


def test_where_gaps_are(gaps):
    asked = gaps.gaps_asked([50, 20.5], ["start", "middle"], 2000, 16000)
    assert [tuple(gap) for gap in asked] == [
        ("start", 20.5, 0, 328), ("start", 50, 0, 800),
        ("middle", 20.5, 836, 1164), ("middle", 50, 600, 1400),
    ]  # fmt: skip


def test_the_distance_is_of_the_gap_alone(gaps):
    gap = gaps.Gap("middle", 50, 600, 1400)
    sound = torch.randn(2, 1, 2000, generator=torch.manual_seed(0))
    outside, inside = sound.clone(), sound.clone()
    outside[..., :600] = outside[..., 1400:] = 0
    inside[..., 600:1400] *= 0.1
    assert torch.equal(gap.distance(outside, sound), torch.zeros(2))
    assert gap.distance(inside, sound).tolist() == pytest.approx([20, 20], abs=1e-2)


def means(model, prediction, least=9.0, silence=16.0):
    names = ("model", "silence", "linear prediction", "least squares")
    return dict(zip(names, (model, silence, prediction, least), strict=True))


@pytest.mark.parametrize(
    "pairs, told",
    [
        ([(3, 2), (4, 3), (5, 4)], "linear prediction is nearer at every length up to 100 ms"),
        ([(3, 2), (4, 5), (5, 6)], "the model is nearer than linear prediction from 50 ms on"),
        ([(1, 2), (4, 5), (5, 6)], "the model is nearer than linear prediction from 20 ms on"),
        ([(1, 2), (5, 4), (5, 6)], "the model is nearer than linear prediction at 20, 100 ms"),
    ],
)
def test_who_wins_is_said(gaps, pairs, told):
    asked = gaps.gaps_asked([20, 50, 100], ["middle"], 16000, 16000)
    results = {gap: means(*pair) for gap, pair in zip(asked, pairs, strict=True)}
    assert gaps.sentence(results) == f"In their middle {told}."


def test_a_model_hardly_better_than_silence_fails(gaps):
    asked = gaps.gaps_asked([20, 50], ["start"], 16000, 16000)
    results = {asked[0]: means(7.9, 1.0), asked[1]: means(8.1, 1.0)}
    verdicts = {row.name: row.verdict for row in gaps.table(results)}
    assert verdicts["start, 20 ms"] == "pass" and verdicts["start, 50 ms"] == "fail"
