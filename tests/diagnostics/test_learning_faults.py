"""Faults of learning and of running means beside healthy ones."""

from __future__ import annotations

from healthy_runs import LEARNING_RATE as RATE
from planted_learning import Copied, last_steps, squashed
from torch import nn

from audio_diffusion_pytorch.diagnostics.learning import check_ema, check_overfit
from audio_diffusion_pytorch.training import EMA, PowerDecay


def test_a_sigmoid_is_the_named_cause_of_a_failed_overfit(synthetic):
    broken = squashed(synthetic.fresh(), nn.Sigmoid())
    found = check_overfit(broken, synthetic.train, steps=50, rate=RATE, seconds=60)
    assert found.verdict == "wrong" and "Sigmoid" in found.message


def checked(subject, **others):
    return check_ema(
        subject.raw, subject.model, subject.raw_before, subject.averaged_before, **others
    )


def test_a_right_mean_is_none_of_these(healthy):
    mean = EMA(healthy.fresh(), PowerDecay(0.9, 0.0))
    mean.update(healthy.model)  # the first update copies
    found = checked(last_steps(healthy.subject, mean), clips=healthy.train)
    assert (found.check, found.verdict) == ("EMA", "ok"), found.text


def test_a_mean_that_copies_at_each_update_is_caught(synthetic):
    found = checked(last_steps(synthetic.subject, Copied(synthetic.model)))
    assert (found.check, found.verdict) == ("EMA", "wrong")
    assert "to the last bit" in found.message
