"""Faults of how models are sampled beside healthy models."""

from __future__ import annotations

import torch
from sampling_stand_ins import fresh_noise, sampling_of, told_by_index
from torch import Tensor

from audio_diffusion_pytorch.data import Clip
from audio_diffusion_pytorch.diagnostics import (
    check_memorisation,
    check_repeatability,
    check_sample_level,
    check_sample_silence,
    check_sample_spectrum,
    check_sample_variety,
    check_told_levels,
    record_trajectory,
)
from audio_diffusion_pytorch.diffusion import Ancestral, DiffusionSampler, GaussianDiffusion
from audio_diffusion_pytorch.diffusion.noise_schedules import LinearBeta


def conditions(clips: Clip) -> dict[str, Tensor]:
    return {"labels": clips.labels} if clips.labels.shape[1] else {}


def test_levels_dropped_from_a_discrete_schedule(piano):
    """Fifty of a thousand steps are walked, and the network is told the place among the fifty."""
    model, labels = piano.model, piano.held_back.labels

    def judge(told):
        sampling = told_by_index(model, piano.length, told, labels=labels)
        return check_told_levels(record_trajectory(model, sampling, num_items=4, num_steps=50))

    assert judge(lambda step, steps: 1 - step / steps).verdict == "ok"
    finding = judge(lambda step, steps: (steps - step) / 1000)
    assert finding.verdict == "wrong"
    assert finding.figures["told there, dB"] > 15 > finding.figures["true there, dB"] + 20


def test_another_schedule_than_trained(synthetic):
    model = synthetic.fresh()
    other = GaussianDiffusion(model.net, LinearBeta(), model.diffusion.parameterization)
    model.sampler = DiffusionSampler(other)
    seen = record_trajectory(model, synthetic.sample(model), num_items=4)
    finding = check_told_levels(seen)
    assert finding.verdict == "wrong" and "DiffusionSampler(model.diffusion)" in finding.remedy


def test_a_model_of_one_sound(piano):
    def constant(num, steps, generator):
        return piano.train.audio[7:8].repeat(num, 1, 1)

    finding = check_sample_variety(constant(16, 0, None), piano.train.audio)
    assert finding.verdict == "wrong"
    assert check_repeatability(piano.model, constant).verdict == "wrong"


def test_a_model_that_plays_its_training_clips(piano):
    copied = piano.train.audio[3::9]
    finding = check_memorisation(copied, piano.train.audio, piano.held_back.audio)
    assert finding.verdict == "suspicious" and finding.figures["copies, share"] == 1
    slight = copied + 1e-4 * torch.randn(copied.shape, generator=torch.Generator().manual_seed(0))
    assert check_memorisation(slight, piano.train.audio).verdict == "suspicious"


def test_a_silent_model_and_one_of_noise(piano):
    data = piano.train.audio
    noise = torch.randn(32, 1, piano.length, generator=torch.Generator().manual_seed(0))
    silent = 1e-5 * noise
    assert check_sample_silence(silent, data).verdict == "wrong"
    assert check_sample_level(silent, data).verdict == "wrong"
    loud = data.square().mean().sqrt() * noise
    assert check_sample_spectrum(loud, data, piano.sample_rate).verdict == "wrong"


def test_noise_that_no_seed_rules(synthetic):
    model = synthetic.fresh()
    model.sampler.solver = Ancestral()
    right = check_repeatability(model, synthetic.sample(model))
    assert right.verdict == "ok"
    astray = sampling_of(
        model, synthetic.length, step_noise=fresh_noise(), **conditions(synthetic.held_back)
    )
    assert check_repeatability(model, astray).verdict == "suspicious"
