"""Faults of conditioning beside healthy models."""

import pytest
import torch
from conditioning_stand_ins import SmallVocoder
from planted_sampling import deaf_sampler, swallowing

from audio_diffusion_pytorch.data import Clip
from audio_diffusion_pytorch.diagnostics import (
    condition_at_sampling,
    condition_influence,
    conditioner_gain,
    probe_conditioner_gain,
)


@pytest.fixture
def sounds(piano):
    return Clip(piano.held_back.audio[..., :2048], piano.held_back.labels[:, :0], [])


def test_a_weak_conditioner_before_training(sounds):
    """One glance at a fresh model shows it, from outside and by the two layers that are added."""
    for level, seen, known in ((1.0, "ok", "ok"), (1 / 200, "suspicious", "wrong")):
        fresh = SmallVocoder(level)
        block = fresh.diffusion.net.blocks[0]
        found = probe_conditioner_gain(fresh, sounds, initial=True)
        assert (found.check, found.verdict) == ("conditioner gain at the start", seen)
        times = torch.full((len(sounds.audio),), 0.5)
        direct = conditioner_gain(
            block.dilated, block.conditioner, lambda m=fresh, t=times: m(sounds.audio, times=t)
        )
        assert (direct.check, direct.verdict) == ("conditioner gain", known)


def test_a_model_that_forgets_its_condition_where_sounds_are_made(piano):
    found = condition_at_sampling(swallowing(piano.fresh()), piano.held_back)
    assert (found.check, found.verdict) == ("condition at sampling", "wrong")
    assert found.figures["change of the network's answer"] > 0.5
    assert found.figures["given at sampling"] == "nothing"


def test_a_sampler_that_forgets_it(piano):
    model = deaf_sampler(piano.fresh())
    assert condition_at_sampling(model, piano.held_back).verdict == "wrong"
    assert condition_influence(model, piano.held_back).verdict == "ok"
