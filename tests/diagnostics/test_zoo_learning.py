"""Faults of learning, planted in the healthy models: each is called by its name."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from audio_diffusion_pytorch.diagnostics import faults
from audio_diffusion_pytorch.diagnostics.learning import (
    check_ema,
    check_learning_rate,
    check_noise_level,
    check_output_range,
    check_overfit,
    examine_learning,
)
from audio_diffusion_pytorch.diagnostics.learning.trial import choose_clips, train_copy
from audio_diffusion_pytorch.training import EMA, PowerDecay

RATE = 2e-3
"""The rate that the healthy models were trained at."""


def test_healthy_models_have_no_fault(healthy):
    found = examine_learning(
        healthy.model, healthy.train, healthy.held_back, learning_rate=RATE, seconds=60
    )
    assert [finding.text for finding in faults(found)] == []
    assert {finding.check for finding in found} == {
        "batch norm", "output range", "noise level told", "gradients", "dead channels",
        "learning rate", "one-clip overfit", "one-batch overfit", "overfitting",
    }  # fmt: skip


def test_zoo_learning_rate_too_high(piano, said):
    found = check_learning_rate(piano.model, piano.train, 100 * RATE, seconds=60)
    assert (found.check, found.verdict) == ("learning rate", "wrong")
    assert "too high" in found.message
    assert RATE / 10 <= found.figures["best learning rate tried"] <= RATE
    assert "learning_rate=0.002" in found.remedy
    said("learning_rate_too_high", found)


def test_zoo_learning_rate_too_low(piano, said):
    found = check_learning_rate(piano.model, piano.train, RATE / 100, seconds=60)
    assert (found.check, found.verdict) == ("learning rate", "wrong")
    assert "too low" in found.message
    assert found.figures["best learning rate tried"] == pytest.approx(RATE)
    said("learning_rate_too_low", found)


class Deaf(nn.Module):
    """A time embedding that says the same whatever the time."""

    def __init__(self, embedding: nn.Module) -> None:
        super().__init__()
        self.embedding = embedding

    def forward(self, time, *args, **kwargs):
        return self.embedding(torch.full_like(time, 0.5), *args, **kwargs)


def test_zoo_constant_time_embedding(piano, said):
    broken = piano.fresh()
    broken.net.time_embedding = Deaf(broken.net.time_embedding)
    found = check_noise_level(broken, piano.train, seconds=60)
    assert (found.check, found.verdict) == ("noise level told", "wrong")
    assert "no module hears it" in found.message
    said("constant_time_embedding", found)


class Squashed(nn.Sequential):
    """A network that ends in a squashing function."""

    def forward(self, x, *args, **kwargs):
        net, squash = self
        return squash(net(x, *args, **kwargs))


def squashed(model, function):
    """Put a function behind the network of a model."""
    model.diffusion.net = Squashed(model.diffusion.net, function)
    return model


def test_zoo_sigmoid_output(synthetic, said):
    found = check_output_range(squashed(synthetic.fresh(), nn.Sigmoid()), synthetic.train)
    assert (found.check, found.verdict) == ("output range", "wrong")
    assert "Sigmoid" in found.message and "Sigmoid" in found.remedy
    assert found.figures["share out of reach"] > 0.4
    said("sigmoid_output", found)


def test_a_sigmoid_is_the_named_cause_of_a_failed_overfit(synthetic):
    broken = squashed(synthetic.fresh(), nn.Sigmoid())
    found = check_overfit(broken, synthetic.train, steps=50, rate=RATE, seconds=60)
    assert found.verdict == "wrong" and "Sigmoid" in found.message


def trained(healthy, update, steps=12, rate=RATE):
    """Raw and averaged weights before and after steps in which `update(raw)` is called."""
    before = copy.deepcopy(healthy.model.state_dict())
    mean = update.__self__
    mean_before = copy.deepcopy(mean.module.state_dict())

    def each(trial):
        update(trial.model)
        return False

    batch = choose_clips(healthy.train, 4)
    raw = train_copy(healthy.model, batch, rate, steps, stop=each).model
    return raw, mean.module, before, mean_before


class Stuck:
    """A running mean whose update is forgotten."""

    def __init__(self, model):
        self.module = copy.deepcopy(model)

    def update(self, model):
        pass


class Closure:
    """A running mean that closes over the model instead of copying it."""

    def __init__(self, model):
        self.module = model

    def update(self, model):
        self.module = model


class Copied(Stuck):
    """A running mean that copies the model at each update."""

    def update(self, model):
        self.module.load_state_dict(model.state_dict())


def test_a_right_mean_is_none_of_these(healthy):
    mean = EMA(healthy.fresh(), PowerDecay(0.9, 0.0))
    mean.update(healthy.model)  # the first update copies
    found = check_ema(*trained(healthy, mean.update), clips=healthy.train)
    assert (found.check, found.verdict) == ("EMA", "ok"), found.text


def test_zoo_ema_never_updates(synthetic, said):
    found = check_ema(*trained(synthetic, Stuck(synthetic.model).update))
    assert (found.check, found.verdict) == ("EMA", "wrong")
    assert "never updated" in found.message
    said("ema_never_updates", found)


def test_zoo_ema_tracks_raw(synthetic, said):
    found = check_ema(*trained(synthetic, Closure(synthetic.fresh()).update))
    assert (found.check, found.verdict) == ("EMA", "wrong")
    assert "the raw model itself" in found.message
    said("ema_tracks_raw", found)


def test_a_mean_that_copies_at_each_update_is_caught(synthetic):
    found = check_ema(*trained(synthetic, Copied(synthetic.model).update))
    assert (found.check, found.verdict) == ("EMA", "wrong")
    assert "to the last bit" in found.message
