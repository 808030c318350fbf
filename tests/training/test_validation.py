"""Validation: fixed clips, noise and levels; the same number for any number of processes."""

from __future__ import annotations

import pytest
import torch

from audio_diffusion_pytorch.training import Precision, Processes, Validation, diffusion_loss
from audio_diffusion_pytorch.training.validation import silenced

FP32 = Precision("fp32")


def alone() -> Processes:
    return Processes(0, 1, torch.device("cpu"))


def make(tone_training, tones, loss=diffusion_loss, items=10, bins=4, processes=None):
    data = tone_training.Tones(tones)
    return Validation(data, loss, items, bins, 4, 0, processes or alone())


def test_the_same_model_scores_the_same_bits_each_time(tone_training, tones):
    model = tone_training.TinyModel()
    validate = make(tone_training, tones)
    first = validate(model, FP32)
    torch.manual_seed(99)
    assert validate(model, FP32) == first
    assert make(tone_training, tones)(model, FP32) == first
    assert model.training  # given back in its mode, though scored without dropout


def test_every_clip_meets_every_level_with_the_same_noise(tone_training, tones):
    met = []

    def loss(_model, batch, generator, times=None):
        noise = torch.randn(len(batch.audio), generator=generator)
        met.extend(zip(batch.name, times.tolist(), noise.tolist(), strict=True))
        return times

    values = make(tone_training, tones, loss)(tone_training.TinyModel(), FP32)
    by_name: dict[str, list] = {}
    for name, time, noise in met:
        by_name.setdefault(name, []).append((time, noise))
    assert len(by_name) == 10
    for pairs in by_name.values():
        assert [int(time * 4) for time, _ in pairs] == [0, 1, 2, 3]
        assert len({noise for _, noise in pairs}) == 1
    assert list(values) == ["loss", "time_0.12", "time_0.38", "time_0.62", "time_0.88"]
    for middle, name in zip((0.125, 0.375, 0.625, 0.875), list(values)[1:], strict=True):
        assert abs(values[name] - middle) < 0.125
    assert values["loss"] == pytest.approx(sum(list(values.values())[1:]) / 4)


def test_two_processes_score_what_one_does(tone_training, tones):
    model = tone_training.TinyModel()
    whole = make(tone_training, tones, items=12)(model, FP32)
    sums = []
    for rank in range(2):
        part = alone()
        part.rank, part.world_size = rank, 2
        part.sum = lambda values: sums.append(list(values)) or list(values)
        make(tone_training, tones, items=12, processes=part)(model, FP32)
    total = [a + b for a, b in zip(*sums, strict=True)]
    assert sum(total[4:]) == 12 * 4
    assert sum(total[:4]) / sum(total[4:]) == pytest.approx(whole["loss"], rel=1e-12)


def test_a_silenced_network_scores_the_power_of_its_target(tone_training, tones):
    model = tone_training.TinyModel()
    with silenced(model.net):
        values = make(tone_training, tones, items=12, bins=8)(model, FP32)
    # v = cos noise - sin x: power 1 at time 0, and that of the tones (0.5, scaled by 2) at time 1.
    assert values["time_0.06"] == pytest.approx(1.0, abs=0.05)
    assert values["time_0.94"] == pytest.approx(0.5, abs=0.05)
    assert make(tone_training, tones, items=12, bins=8)(model, FP32) != values


def test_without_bins_the_loss_draws_its_own_times(tone_training, tones):
    values = make(tone_training, tones, bins=0)(tone_training.TinyModel(), FP32)
    assert list(values) == ["loss"] and values["loss"] > 0
