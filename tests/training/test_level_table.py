"""Every validation tells the errors at fixed noise levels; it costs no bit of the training."""

from __future__ import annotations

import copy
import signal

import pytest
import torch
from torch import nn

from audio_diffusion_pytorch import DiffusionModel, UNetV0
from audio_diffusion_pytorch.diagnostics import measure_levels, read_levels
from audio_diffusion_pytorch.diagnostics.possible import DECIBELS
from audio_diffusion_pytorch.training import Precision, Processes, diffusion_loss, fit
from audio_diffusion_pytorch.training.level_table import LevelTable, level_scalars, level_words

FP32 = Precision("fp32")


def alone(rank: int = 0, world_size: int = 1) -> Processes:
    return Processes(rank, world_size, torch.device("cpu"))


@pytest.fixture(scope="module")
def model() -> DiffusionModel:
    torch.manual_seed(0)
    return DiffusionModel(
        UNetV0, in_channels=1, channels=(8, 16), factors=(1, 4), items=(1, 1),
        resnet_groups=2, modulation_features=16,
    )  # fmt: skip


def make(tone_training, tones, loss=diffusion_loss, items=10, processes=None):
    data = [tone_training.Tones(tones) for _ in range(2)]
    return LevelTable(*data, loss, items, 4, 0, processes or alone())


def test_the_table_is_the_same_each_time_and_moves_nothing(tone_training, tones, model):
    table = make(tone_training, tones)
    torch.manual_seed(7)
    before = torch.random.get_rng_state()
    model.train()
    first = table(model, FP32)
    assert torch.equal(before, torch.random.get_rng_state()) and model.training
    assert first.clips == 10 and first.held_back and first.decibels == DECIBELS
    torch.rand(9)
    assert table(model, FP32) == first == make(tone_training, tones)(model, FP32)
    assert make(tone_training, tones, items=100)(model, FP32).clips == 12
    other = copy.deepcopy(model)
    with torch.no_grad():
        next(other.parameters()).mul_(3)
    moved = table(other, FP32)
    assert moved.model != first.model and moved.linear == first.linear


def test_its_linear_denoiser_is_the_doctors(tone_training, tones, model):
    from torch.utils.data import default_collate

    data = tone_training.Tones(tones)
    clips = default_collate([data[0, place] for place in range(12)])
    doctors = measure_levels(model, clips, clips)
    assert make(tone_training, tones, items=12)(model, FP32).linear == pytest.approx(doctors.linear)


def test_two_processes_measure_what_one_does(tone_training, tones, model):
    whole = make(tone_training, tones)(model, FP32)
    sums = []
    for rank in range(2):
        part = alone(rank, 2)
        part.sum = lambda values: sums.append(list(values)) or list(values)
        make(tone_training, tones, processes=part)(model, FP32)
    both = alone(0, 2)
    both.sum = lambda _: [a + b for a, b in zip(*sums, strict=True)]
    together = make(tone_training, tones, processes=both)(model, FP32)
    assert together.clips == 10
    assert together.model == pytest.approx(whole.model, rel=1e-9)
    assert together.share == pytest.approx(whole.share, rel=1e-9)


def test_another_objective_has_none_and_trouble_is_told_once(tone_training, tones, model):
    foreign = make(tone_training, tones)
    assert foreign(tone_training.TinyModel(), FP32) is None and foreign.trouble() == ""

    def twice(model, batch, generator, times=None):
        for _ in range(2):
            losses = diffusion_loss(model, batch, generator, times)
        return losses

    table = make(tone_training, tones, twice)
    assert table(model, FP32) is None
    assert "no table of noise levels" in table.trouble() and "once each" not in table.trouble()
    assert table(model, FP32) is None and table.trouble() == ""
    other = alone(0, 2)  # the other process could not
    other.gather = lambda value: [value, "no table of noise levels: no memory"]
    split = make(tone_training, tones, processes=other)
    assert split(model, FP32) is None and "no memory" in split.trouble()


def test_rows_and_words(tone_training, tones, model):
    levels = make(tone_training, tones)(model, FP32)
    named = level_scalars(levels)
    assert named["validation/share_explained"] == levels.share
    assert named["best_linear/share_explained"] == levels.linear_share
    assert named["level/-20_dB"] == levels.model[0]
    assert named["level/0_dB"] == levels.model[4]
    assert named["best_linear/20_dB"] == levels.linear[-1]
    assert named["train/share_explained"] == levels.train_share
    shares = (levels.share, levels.train_share, levels.linear_share)
    share, trained, linear = (round(100 * s) for s in shares)
    assert level_words(levels) == (
        f"explains {share} % of what is possible, {trained} % on training clips "
        f"(best linear {linear} %)"
    )


def train(tone_training, tones, model, folder, resume=False, stop_at=None, **settings):
    calls = 0

    def loss(model, batch, generator, times=None):
        nonlocal calls
        calls += times is None
        if times is None and calls == stop_at:
            signal.raise_signal(signal.SIGINT)
        return diffusion_loss(model, batch, generator, times)

    rows = tone_training.Rows()
    config = tone_training.small_config(validate_every=4, validation_bins=2, **settings)
    result = fit(
        copy.deepcopy(model), tone_training.Tones(tones), config, folder, loss=loss,
        validation=tone_training.Tones(tones), loggers=[rows], resume=resume,
    )  # fmt: skip
    return rows.rows, tone_training.digest(result.ema.module), result


def test_a_training_tells_it_and_keeps_that_of_the_best_weights(
    tone_training, tones, model, tmp_path, capsys
):
    rows, _, result = train(tone_training, tones, model, tmp_path, max_steps=12)
    validated = [step for step, row in rows.items() if "validation/loss" in row]
    assert validated == [4, 8, 12]
    for step in validated:
        assert sum(name.startswith("level/") for name in rows[step]) == len(DECIBELS)
    kept = read_levels(tmp_path)
    assert kept.share == rows[result.best_step]["validation/share_explained"]
    assert kept.linear_share == rows[4]["best_linear/share_explained"]
    assert rows[12]["level/20_dB"] != rows[4]["level/20_dB"]
    out = capsys.readouterr().out
    assert out.count(" % on training clips (best linear ") == 3


def test_stopped_and_resumed_it_tells_the_same_bits(tone_training, tones, model, tmp_path):
    rows, weights, _ = train(tone_training, tones, model, tmp_path / "whole", max_steps=12)
    train(tone_training, tones, model, tmp_path / "half", max_steps=12, stop_at=6)
    again, same, _ = train(
        tone_training, tones, model, tmp_path / "half", resume=True, max_steps=12
    )
    assert same == weights
    for step in (8, 12):
        told = {
            name: value for name, value in rows[step].items() if "/" in name and "train" not in name
        }
        assert told == {name: again[step][name] for name in told} and len(told) > 20


def test_without_the_table_the_training_is_the_same(
    tone_training, tones, model, tmp_path, monkeypatch
):
    _, weights, _ = train(tone_training, tones, model, tmp_path / "told", max_steps=8)
    monkeypatch.setattr(LevelTable, "__call__", lambda *_: None)
    rows, same, _ = train(tone_training, tones, model, tmp_path / "untold", max_steps=8)
    assert same == weights and "validation/share_explained" not in rows[8]
    assert not (tmp_path / "untold" / "levels.json").exists()


def test_other_objectives_train_as_before(tone_training, tones, tmp_path):
    tiny: nn.Module = tone_training.TinyModel()
    rows, _, _ = train(tone_training, tones, tiny, tmp_path, max_steps=4)
    assert "validation/loss" in rows[4] and "validation/share_explained" not in rows[4]
    assert not (tmp_path / "levels.json").exists()
