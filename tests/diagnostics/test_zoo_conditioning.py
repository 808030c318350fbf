"""Faults of conditioning, planted on purpose: each is caught by name."""

import pytest
import torch
from conditioning_stand_ins import SmallVocoder, train

from audio_diffusion_pytorch import DiffusionModel
from audio_diffusion_pytorch.data import Clip
from audio_diffusion_pytorch.diagnostics import (
    condition_at_sampling,
    condition_influence,
    conditioner_gain,
    examine_conditioning,
    probe_conditioner_gain,
)
from audio_diffusion_pytorch.diffusion import VSampler


@pytest.fixture(scope="module")
def vocoders(piano):
    """Two that were trained alike; what the second is told is 200 times too faint."""
    made = {}
    for level in (1.0, 1 / 200):
        made[level] = SmallVocoder(level)
        train(made[level], piano.train.audio)
    return made[1.0], made[1 / 200]


@pytest.fixture
def sounds(piano):
    return Clip(piano.held_back.audio[..., :2048], piano.held_back.labels[:, :0], [])


def test_zoo_weak_conditioner(vocoders, sounds, said):
    """It stays unheard after training, and the loss says nothing of it."""
    healthy, faint = vocoders
    found = probe_conditioner_gain(faint, sounds)
    assert (found.check, found.verdict) == ("conditioner gain", "wrong")
    assert found.figures["gain"] < 0.02
    said("weak_conditioner", found)
    assert condition_influence(faint, sounds).verdict == "wrong"
    assert probe_conditioner_gain(healthy, sounds).verdict == "ok"
    assert condition_influence(healthy, sounds).verdict == "ok"


def test_zoo_weak_conditioner_before_training(sounds):
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


class Swallows(DiffusionModel):
    """Forgets the labels where sounds are made."""

    def generate(self, *args, labels=None, **kwargs):
        del labels
        return super().generate(*args, **kwargs)


class DeafSampler(VSampler):
    """Asks the network without what it is told."""

    def forward(self, *args, labels=None, **kwargs):
        del labels
        return super().forward(*args, **kwargs)


def test_zoo_condition_dropped_at_sampling(piano, said):
    swallowing = piano.fresh()
    swallowing.__class__ = Swallows
    found = condition_at_sampling(swallowing, piano.held_back)
    assert (found.check, found.verdict) == ("condition at sampling", "wrong")
    assert found.figures["difference of the sounds"] == 0.0
    assert found.figures["change of the network's answer"] > 0.5
    assert found.figures["given at sampling"] == "nothing"
    said("condition_dropped_at_sampling", found)

    deaf = piano.fresh()
    deaf.sampler.__class__ = DeafSampler
    assert condition_at_sampling(deaf, piano.held_back).verdict == "wrong"
    assert condition_influence(deaf, piano.held_back).verdict == "ok"
    assert condition_at_sampling(piano.model, piano.held_back).verdict == "ok"


def test_healthy_models_have_none_of_it(healthy):
    found = examine_conditioning(
        healthy.model, healthy.train, healthy.held_back, collection=healthy.train
    )
    assert [finding.text for finding in found if finding.verdict != "ok"] == []
    assert len(found) == (7 if healthy.train.labels.shape[1] else 0)
