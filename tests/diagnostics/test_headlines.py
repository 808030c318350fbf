"""The first thing to mend is a cause: what follows from it stands after it."""

from __future__ import annotations

import pytest
import torch
from planted_learning import Stuck, deafened, last_steps, squashed

from audio_diffusion_pytorch.diagnostics import (
    Diagnosis,
    Examined,
    examine_learning,
    examine_losses,
)


def headline(piano, model, raw=None, **known) -> Diagnosis:
    losses = examine_losses(model, piano.train, piano.held_back)
    learning = examine_learning(raw or model, piano.train, seconds=0.5, **known)
    return Diagnosis((Examined("losses", tuple(losses)), Examined("learning", tuple(learning))))


@pytest.mark.parametrize(
    "squash, cause",
    [(lambda model: squashed(model, torch.nn.Sigmoid()), "output range"),
     (deafened, "noise level told")],
)  # fmt: skip
def test_a_network_that_cannot(piano, squash, cause):
    found = headline(piano, squash(piano.fresh()))
    assert found.sentence().endswith(f"first of all {cause}")
    assert any(finding.symptom for finding in found.faults)


def test_a_learning_rate_too_high(piano):
    found = headline(piano, piano.fresh(), learning_rate=0.2)
    assert found.sentence().endswith("first of all learning rate")


def test_a_mean_that_is_never_updated(piano):
    start = piano.fresh()
    start.net.load_state_dict(piano.initial.net.state_dict())
    sick = last_steps(piano.subject, Stuck(start))
    found = headline(
        piano, sick.model, sick.raw, averaged=sick.model, weights_before=sick.raw_before,
        averaged_before=sick.averaged_before,
    )  # fmt: skip
    assert found.finding("share of the possible").verdict == "wrong"
    assert found.sentence().endswith("first of all EMA")
