"""Faults of the space between audio and diffusion beside a healthy code."""

from __future__ import annotations

from math import sqrt

import pytest
from planted_latents import AsTheyAre, ConvCode, behind, soft_clips
from torch import nn

from audio_diffusion_pytorch import DiffusionModel
from audio_diffusion_pytorch.data import Clip
from audio_diffusion_pytorch.diagnostics import (
    Finding,
    as_clips,
    examine_latents,
    findings_text,
    worst,
)


@pytest.fixture(scope="module")
def clips(piano) -> Clip:
    return soft_clips(piano.train)


def found(named: str, made: nn.Module, clips: Clip) -> Finding:
    return {finding.check: finding for finding in examine_latents(made, clips)}[named]


def test_a_healthy_code(clips):
    findings = examine_latents(behind(ConvCode(), clips.audio), clips)
    assert worst(findings) == "ok", findings_text(findings)
    assert len(findings) == 9


def test_unscaled_latents_of_an_encoder(clips):
    """Whether encoded by the model or before: the level is that of the code's values."""
    z = ConvCode().encode(clips.audio)
    for made, given in ((behind(None, z), as_clips(z)), (code_as_it_is(clips), clips)):
        caught = found("latent scale", made, given)
        assert caught.verdict == "wrong" and "fit_normalizer" in caught.remedy
        assert caught.figures["rms"] == pytest.approx(float(z.square().mean().sqrt()), rel=1e-5)


def code_as_it_is(clips: Clip, **others) -> DiffusionModel:
    return behind(ConvCode(**others), clips.audio, AsTheyAre())


def test_one_dead_channel_may_be_meant(clips):
    caught = found("dead latent channels", behind(ConvCode(dead=1), clips.audio), clips)
    assert caught.verdict == "suspicious" and caught.figures["dead_channels"] == 1


def test_latents_that_are_draws_are_noise(clips):
    """encode gives a draw of the posterior: the dead channels become white noise of full size."""
    made = code_as_it_is(clips, dead=6, draws=True)
    for check in ("latents are noise", "dead latent channels"):
        assert found(check, made, clips).verdict == "wrong"
    assert found("encoder draws", made, clips).verdict != "ok"
    assert found("latents are noise", behind(ConvCode(), clips.audio), clips).verdict == "ok"


def test_the_drawn_share_is_that_of_the_posterior(clips):
    code = ConvCode(6, draws=True)
    share = found("encoder draws", behind(code, clips.audio, AsTheyAre()), clips)
    code.draws = False
    means = code.encode(clips.audio).transpose(0, 1).flatten(1).var(1, correction=0).sum().item()
    drawn = 6 * 1.0 + 2 * 0.02**2
    assert share.figures["drawn_share"] == pytest.approx(drawn / (means + drawn), rel=0.03)
    assert sqrt(means / 2) > 1.0
