"""train.overfit: a few clips, always the same, and one sentence at the end."""

from __future__ import annotations

import math
from random import random

import pytest
import torch
from torch import nn

from audio_diffusion_pytorch import DiffusionModel
from audio_diffusion_pytorch.data import Clip
from audio_diffusion_pytorch.training import ConfigError, TrainConfig, fit
from audio_diffusion_pytorch.training.overfit import FirstClips

SAMPLES = 64


class Moving:
    """Tones whose place and level are drawn anew at each access, as no data set should."""

    def __init__(self, count: int = 12) -> None:
        self.count = count
        self.asked: list[tuple[int, int]] = []

    def __len__(self):
        return self.count

    def __getitem__(self, key):
        self.asked.append(key)
        phase = torch.arange(SAMPLES) / 16 + random()
        audio = torch.sin(2 * math.pi * phase)[None] * (1 + random())
        return Clip(audio, torch.zeros(0, dtype=torch.int64), f"tone_{key[1]}")


class Net(nn.Module):
    """A gain and a wave for each noise level: enough to know one clip by heart, and no more."""

    def __init__(self, dim=1, in_channels=1):
        super().__init__()
        torch.manual_seed(0)
        self.inside = nn.Linear(1, 64)
        self.outside = nn.Linear(64, 1 + SAMPLES)

    def forward(self, x, time, **cond):
        said = self.outside(torch.nn.functional.silu(self.inside(4 * time[:, None])))
        return said[:, None, :1] * x + said[:, None, 1:]


@pytest.fixture
def overfit(tone_training, tmp_path, capsys):
    """`overfit(model, **settings)` runs `fit` and returns (result, rows, printed, data)."""

    def run(model=None, **settings):
        data, rows = Moving(), tone_training.Rows()
        values = {"max_steps": 400, "batch_size": 16, "learning_rate": 5e-3} | settings
        config = tone_training.small_config(**values)
        model = model or DiffusionModel(Net, in_channels=1)
        folder = tmp_path / "run"
        folder.mkdir()
        result = fit(model, data, config, folder, loggers=[rows])
        return result, rows.rows, capsys.readouterr().out, data

    return run


def test_each_clip_is_read_once_and_never_changes():
    data = Moving()
    first = FirstClips(data, 3)
    assert len(first) == 3 and data.asked == [(0, 0), (0, 1), (0, 2)]
    for epoch in range(3):
        assert all(first[epoch, i] is first[0, i] is first[i] for i in range(3))
    assert data.asked == [(0, 0), (0, 1), (0, 2)]
    assert torch.equal(first.together(2).audio[1], first[1].audio)
    assert len(FirstClips(data, 99)) == 12


def test_it_passes_and_says_so_in_one_sentence(overfit):
    result, rows, printed, data = overfit(overfit=1)
    assert {index for _, index in data.asked} == {0}
    assert result.overfit.verdict == "ok"
    assert result.overfit.message.startswith("passed: after 400 steps on 1 clip the error")
    assert result.overfit.figures["share of error left"] < 0.3
    assert printed.count("overfit: passed") == 1
    last = rows[400]
    assert last["validation/loss"] < 0.5 * last["zero_predictor/loss"]  # of the same clips


def test_without_it_nothing_is_judged(overfit):
    result, _, printed, data = overfit(max_steps=3)
    assert result.overfit is None and "overfit" not in printed
    assert len({index for _, index in data.asked}) > 3


def test_it_fails_with_the_rate_that_would_be_right(overfit):
    result, _, printed, _ = overfit(overfit=2, learning_rate=1e-6, max_steps=40)
    found = result.overfit
    assert found.verdict == "wrong"
    assert "not passed: after 40 steps on 2 clips" in found.message
    assert "the loss does not move at learning rate 1e-06" in found.message
    assert found.remedy == "set train.learning_rate=0.0001"  # the highest that is tried
    assert found.text in printed


def test_it_fails_for_want_of_a_gradient(overfit):
    broken = DiffusionModel(Net, in_channels=1)

    class Frozen(nn.Module):
        """Hides the network's gradient, but not that of a weight that does nothing."""

        def __init__(self, net):
            super().__init__()
            self.net, self.nothing = net, nn.Parameter(torch.zeros(1))

        def forward(self, *args, **cond):
            return self.net(*args, **cond).detach() + 0 * self.nothing

    broken.diffusion.net = broken.net = Frozen(broken.net)
    result, *_ = overfit(broken, overfit=1, max_steps=20)
    assert result.overfit.verdict == "wrong"
    assert "the weights get no gradient" in result.overfit.message
    assert "detach()" in result.overfit.remedy


def test_it_fails_where_it_diverges(overfit):
    result, *_ = overfit(overfit=1, max_steps=20, learning_rate=30.0, warmup_steps=0)
    assert result.overfit.verdict == "wrong"
    assert "diverges at learning rate 30" in result.overfit.message
    assert result.overfit.remedy == "set train.learning_rate=3, or lower"


def test_an_objective_that_nobody_can_look_into_is_judged_by_its_loss(overfit, tone_training):
    result, *_ = overfit(tone_training.TinyModel(dropout=0.0), overfit=1, max_steps=10)
    assert result.overfit.verdict == "wrong"
    assert "% of its first value, at most 50 % is right" in result.overfit.message


def test_a_resumed_run_goes_on_with_the_same_clips(overfit, tone_training, tmp_path, capsys):
    overfit(overfit=1, max_steps=5)
    config = tone_training.small_config(max_steps=8, overfit=2, batch_size=16)
    model = DiffusionModel(Net, in_channels=1)
    fit(model, Moving(), config, tmp_path / "run", resume=True)
    assert "the recordings changed since, 1 clips then, 2 clips now" in capsys.readouterr().out


def test_it_has_two_minutes_unless_told_otherwise():
    assert TrainConfig(overfit=1).max_seconds == 120
    assert TrainConfig(overfit=1, max_minutes=5).max_seconds == 300
    assert TrainConfig(overfit=1, max_steps=5).max_seconds is None
    with pytest.raises(ConfigError, match=r"^train\.overfit must be 0 or more, got -1$"):
        TrainConfig(overfit=-1)
