"""Clips beside what was made of them: every clip is measured once, against its own original."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from audio_diffusion_pytorch.data import AudioFolder
from audio_diffusion_pytorch.diagnostics import Report
from audio_diffusion_pytorch.training import Comparison, Measure

LEVEL = Measure("level", "dB", lambda a, b: 20 * (a.std((1, 2)) / b.std((1, 2))).log10().abs())


@pytest.fixture(scope="module")
def notes(piano_folder):
    files = sorted(file.name for file in piano_folder.glob("0[3-6]*_mf.flac"))[:10]
    return AudioFolder(str(piano_folder), 16000, 4096, crop="start", files=files)


def softer(model, clips, generator):
    """6 dB and 12 dB below the originals; longer and shorter than they."""
    factors = {"model": 0.5, "baseline": 0.25}
    padded = torch.nn.functional.pad(clips.audio, (0, 7))
    return {name: factor * padded for name, factor in factors.items()}


def compare(notes, answer=softer, **settings):
    settings = {"measures": (LEVEL,), "shown": 3, "batch_size": 4, **settings}
    return Comparison(notes, notes, answer, **settings)


def test_all_clips_are_measured_and_some_are_shown(notes):
    result = compare(notes).score(nn.Identity(), torch.Generator())
    (distances,) = result.distances
    assert {name: len(values) for name, values in distances.items()} == {
        "model": 10, "baseline": 10,
    }  # fmt: skip
    assert distances["model"].tolist() == pytest.approx([6.0206] * 10, abs=1e-3)
    assert distances["baseline"].tolist() == pytest.approx([12.0412] * 10, abs=1e-3)
    assert [*result.sounds] == ["original", "model", "baseline"] and result.by_model == "model"
    for place, index in enumerate((0, 3, 6)):
        clip = notes[0, index]
        assert torch.equal(result.sounds["original"][place], clip.audio)
        assert torch.equal(result.made[place], 0.5 * clip.audio)
        assert clip.name.startswith(result.names[place])


def test_what_is_shown_on_the_way_is_shown_at_the_end(notes):
    comparison = compare(notes, scored=7)
    on_the_way = comparison(nn.Identity(), torch.Generator())
    end = comparison.score(nn.Identity(), torch.Generator())
    assert len(on_the_way.distances[0]["model"]) == 3 and len(end.distances[0]["model"]) == 7
    assert on_the_way.names == end.names
    assert torch.equal(on_the_way.sounds["original"], end.sounds["original"])


def test_the_table_sets_the_model_beside_the_best_baseline(notes):
    def answer(model, clips, generator):
        return {"model": 0.5 * clips.audio, "poor": 0.1 * clips.audio, "good": 0.6 * clips.audio}

    result = compare(notes, answer).score(nn.Identity(), torch.Generator())
    rows = {row.name: row for row in result.rows()}
    assert rows["level, model"].target == "below 4.437 dB (good)"
    assert rows["level, model"].verdict == "warn" and rows["level, poor"].verdict == "info"
    assert rows["  clips where model beats poor"].value == "10 of 10"
    assert rows["  clips where model beats good"].value == "0 of 10"
    rows = compare(notes).score(nn.Identity(), torch.Generator()).rows()
    assert rows[0].verdict == "pass"


def test_sentence_and_report(notes):
    result = compare(notes).score(nn.Identity(), torch.Generator())
    assert result.sentence() == (
        "Level over 10 held-back clips, lower is better: model 6.021 dB, baseline 12.04 dB."
    )
    report = Report("notes")
    result.add_to(report, 16000)
    assert report.figures == [("level, model", "6.021 dB"), ("level, baseline", "12.04 dB")]
    groups = [sound.group for sound in report.sounds]
    assert groups == [name for name in result.names for _ in range(3)]
    assert [sound.note for sound in report.sounds[:3]] == ["", "level 6.021 dB", "level 12.04 dB"]
    training = Comparison(notes, None, softer).score(nn.Identity(), torch.Generator())
    assert "over 10 training clips" in training.sentence()


@pytest.mark.parametrize(
    "answer",
    [
        lambda model, clips, generator: {"original": clips.audio},
        lambda model, clips, generator: {"model": clips.audio[:1]},
        lambda model, clips, generator: {"model": clips.audio[:, 0]},
    ],
)
def test_answers_that_are_no_answers(notes, answer):
    with pytest.raises(ValueError, match=r"the answer '\w+' must be sounds \(4, 1, 4096\)"):
        compare(notes, answer).score(nn.Identity(), torch.Generator())
