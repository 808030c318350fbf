"""The paragraph at the end of a run says only what its figures show."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from audio_diffusion_pytorch.diagnostics import Levels
from audio_diffusion_pytorch.diagnostics.possible import LossMarks
from audio_diffusion_pytorch.training import Precision, TrainConfig, TrainResult
from audio_diffusion_pytorch.training.result_words import plain_words, result_rows

CONFIG = TrainConfig(warmup_steps=100)
HEART, LONGER, DIVERGED = "by heart", "train longer", "diverged: start again with a lower train."


class Data:
    length, sample_rate, files = 16000, 16000, ("a.wav", "b.wav")

    def __len__(self):
        return 4


def words(
    loss, validation=None, zero=1.0, trivial=1.0, steps=1000, epochs=50.0, level=0.1, speed=12.0
):
    """The paragraph of a run with these figures; real clips have a level of 0.1 (-20 dBFS)."""
    result = TrainResult(
        steps, "finished", 1.0, 60.0, loss, math.inf, 0, speed, Precision("fp32"), None, Path("x")
    )
    scalars = {"zero_predictor/loss": ([9], [zero])}
    if validation is not None:
        scalars["validation/loss"] = ([9], [validation])
    sounds, real = torch.full((2, 1, 99), level), torch.full((2, 1, 99), 0.1)
    rows = result_rows(result, scalars, sounds, real, trivial)
    return plain_words(result, Data(), rows, CONFIG, epochs)


@pytest.mark.parametrize(
    ("figures", "said"),
    [
        # four steps on soft training files beside one loud held-back file: nothing is known yet
        ({"loss": 0.3, "validation": 1.2, "trivial": 0.31, "steps": 4, "epochs": 0.5}, LONGER),
        ({"loss": 0.3, "validation": 1.2, "trivial": 0.31}, LONGER),
        ({"loss": 0.3, "validation": 1.2, "epochs": 5.0}, LONGER),
        ({"loss": 0.3, "validation": 1.2}, HEART),
        ({"loss": 0.3, "validation": 0.4}, None),
        ({"loss": 0.95, "validation": 0.95}, LONGER),
        ({"loss": 1.3, "validation": 1.3}, DIVERGED),
        ({"loss": 1.3}, DIVERGED),  # nothing held back
        ({"loss": 1.3, "validation": 1.3, "steps": 4}, LONGER),  # random weights begin there
        ({"loss": 9.0, "validation": 9.0, "steps": 4}, DIVERGED),
        ({"loss": 0.9, "validation": math.nan}, DIVERGED),
        ({"loss": 0.9, "level": math.nan}, DIVERGED),
        ({"loss": 1.1, "level": 0.9}, DIVERGED),  # 19 dB too loud, and worse than zeros
        ({"loss": 0.6, "level": 0.9}, LONGER),
        ({"loss": 0.6, "level": 0.01}, LONGER),
    ],
)
def test_the_verdict(figures, said):
    text = words(**figures)
    assert [word for word in (HEART, LONGER, DIVERGED) if word in text] == ([said] if said else [])


def test_on_raw_samples_the_loudness_is_the_mark():
    """Answering zero costs 0.49 there, knowing the loudness alone 0.065: 0.4 is nothing learnt."""
    marks = LossMarks("mse", 0.4, 0.98, 0.13)
    levels = Levels((0.0,), (1.0,), (1.0,), (1.0,), 1.0, 8, True, "v", "cosine", 0, marks)
    result = TrainResult(
        9, "finished", 1.0, 60.0, 0.4, math.inf, 0, 1.0, Precision("fp32"), None, Path("x"),
        levels=levels,
    )  # fmt: skip
    scalars = {"zero_predictor/loss": ([9], [0.49]), "validation/loss": ([9], [0.4])}
    rows = result_rows(result, scalars, torch.ones(2, 1, 99), torch.ones(2, 1, 99), 0.49)
    loss = next(row for row in rows if row.name == "validation loss")
    assert (loss.verdict, loss.target) == ("warn", "at most 0.0585")
    text = plain_words(result, Data(), rows, CONFIG, 1.0)
    assert "knowing only how loud the recordings are would cost 0.065" in text
    assert "That is not better: train longer" in text


def test_a_speed_is_told_only_if_something_was_trained():
    assert "(12 clips a second, fp32)" in words(0.5)
    assert "(fp32)" in words(0.5, speed=0.0)
