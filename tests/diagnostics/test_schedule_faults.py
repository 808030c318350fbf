"""Faults of noise schedules and of how they are walked, beside healthy ones."""

from __future__ import annotations

import pytest
from planted_schedules import (
    FAST,
    TRAINED,
    Upwards,
    WrongSign,
    WrongWay,
    aligned_model,
    latents_of,
    noise_model,
)
from torch import nn

from audio_diffusion_pytorch.data import Clip
from audio_diffusion_pytorch.diagnostics import (
    Finding,
    check_levels_kept,
    check_parameterization,
    examine_schedule,
    findings_text,
    worst,
)
from audio_diffusion_pytorch.diffusion import DiscreteBetas, HalfCircle, VPrediction


def found(named: str, model: nn.Module, clips: Clip) -> Finding:
    return {finding.check: finding for finding in examine_schedule(model, clips)}[named]


def test_healthy_models(healthy):
    findings = examine_schedule(healthy.model, healthy.held_back)
    assert worst(findings) == "ok", findings_text(findings)
    assert len(findings) == 10


def test_a_thousand_steps_end_in_noise(piano):
    clips = latents_of(piano.model, piano.train)
    findings = examine_schedule(noise_model(DiscreteBetas.linear(1000, 1e-4, 0.02)), clips)
    assert worst(findings) == "ok", findings_text(findings)
    (terminal,) = (finding for finding in findings if finding.check == "terminal SNR")
    assert round(terminal.figures["terminal_snr_db"], 1) == -43.9


def test_a_sampler_that_walks_the_wrong_way(piano):
    """The grid of the model is fine, its sampler does not look at it."""
    model = piano.fresh()
    model.sampler = Upwards(model.net, schedule=piano.model.sampler.schedule)
    caught = found("levels visited", model, piano.held_back)
    assert caught.verdict == "wrong" and "wrong direction" in caught.message
    assert found("levels visited", piano.model, piano.held_back).verdict == "ok"


def test_levels_dropped_from_a_list_of_betas(piano):
    """Of 7 levels the first is cleaner than any of training, 6 are walked; of 6 another one."""
    caught = check_levels_kept(TRAINED, [1e-5, *FAST])
    assert caught.verdict == "wrong"
    assert (caught.figures["steps_asked"], caught.figures["steps_kept"]) == (7, 6)
    assert check_levels_kept(TRAINED, FAST).verdict == "ok"
    clips = latents_of(piano.model, piano.train)
    for betas, verdict in (([1e-5, *FAST], "wrong"), ([5e-5, *FAST[1:]], "wrong"), (FAST, "ok")):
        findings = examine_schedule(aligned_model(betas), clips, num_steps=len(betas))
        grid = {finding.check: finding for finding in findings}["sampling grid"]
        assert grid.verdict == verdict, grid.text
        if verdict == "wrong":
            assert f"asked for {len(betas)} steps the grid makes {len(betas) - 1}" in grid.message


def test_wrong_v_sign_in_the_target(piano):
    """Both in closed form and of a model; what is taught and what is read still agree."""
    assert check_parameterization(VPrediction(), HalfCircle()).verdict == "ok"
    caught = check_parameterization(WrongSign(), HalfCircle())
    assert caught.verdict == "wrong" and "wrong sign" in caught.message
    model = piano.fresh()
    model.diffusion.parameterization = WrongSign()
    assert found("parameterization", model, piano.held_back) == caught


def test_wrong_v_sign_in_the_loss(piano):
    """An objective of one's own that turns the network's answer around before comparing it."""
    model = piano.fresh()
    measure = model.diffusion.measure
    model.diffusion.measure = lambda said, wanted, mask: measure(-said, wanted, mask)
    caught = found("taught target", model, piano.held_back)
    assert caught.verdict == "wrong" and "wrong sign" in caught.message
    assert caught.figures["agreement"] == pytest.approx(-1, abs=1e-5)
    assert found("taught target", piano.model, piano.held_back).verdict == "ok"


def test_wrong_v_sign_in_the_sampler(piano):
    model = piano.fresh()
    model.sampler = WrongWay(model.net, schedule=model.sampler.schedule)
    caught = found("perfect network", model, piano.held_back)
    assert caught.verdict == "wrong" and "wrong sign" in caught.message
    assert found("parameterization", model, piano.held_back).verdict == "ok"
    assert found("perfect network", piano.model, piano.held_back).verdict == "ok"
