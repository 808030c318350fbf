"""Faults of the loss, and losses that say nothing, beside those of healthy models."""

from __future__ import annotations

import pytest
import torch
from planted_losses import FlippedTarget, eps_model, flipped

from audio_diffusion_pytorch.diagnostics import (
    Finding,
    check_answer_sign,
    check_trivial_loss,
    compare_losses,
    examine_losses,
    measure_levels,
)
from audio_diffusion_pytorch.diagnostics.possible import loss_marks, training_times
from audio_diffusion_pytorch.diffusion import EpsilonPrediction


def found(findings: list[Finding]) -> dict[str, Finding]:
    return {finding.check: finding for finding in findings}


def test_healthy_models_know_more_than_the_best_linear_denoiser(healthy, examined):
    share = examined(healthy.subject, "losses").finding("share of the possible").figures
    assert share["share of the possible explained"] > share["share of the best linear denoiser"]
    assert share["share of the best linear denoiser"] > 0 > share["share of guessing silence"]


def test_wrong_v_sign_of_the_target(piano):
    """The training loss is as low as ever, and every sample noise."""
    model = flipped(piano.fresh())
    model.diffusion.parameterization = FlippedTarget()
    findings = found(examine_losses(model, piano.train, piano.held_back))
    finding = findings["sign of the answer"]
    assert findings["trivial loss"].verdict == "ok"
    assert findings["share of the possible"].verdict == "wrong"
    assert finding.verdict == "wrong" and finding.message.startswith("wrong sign: a perfect answer")


def test_wrong_parameterization(piano):
    """Weights of a velocity net read as the noise."""
    model = piano.fresh()
    model.diffusion.parameterization = EpsilonPrediction()
    finding = check_answer_sign(model, piano.held_back)
    assert finding.verdict == "wrong"
    assert "wrong parameterization" in finding.message and "VPrediction" in finding.message


def test_loss_lower_of_the_worse_run(piano):
    """More steps and knowing nothing has the lower loss than fewer steps and knowing the notes."""
    knows = measure_levels(eps_model(piano.fresh(), 50), piano.train, piano.held_back)
    nothing = measure_levels(
        eps_model(piano.fresh(), 1000, knows=False), piano.train, piano.held_back
    )
    finding = compare_losses(nothing, knows, ("this run", "the run before"))
    assert finding.verdict == "suspicious"
    assert finding.message.endswith("so the run before is the better one")
    assert compare_losses(knows, knows).verdict == "ok"


@pytest.mark.parametrize("steps", [50, 500, 1000])
def test_white_noise_floor(piano, steps: int):
    model = eps_model(piano.fresh(), steps, knows=False)
    findings = found(examine_losses(model, piano.train, piano.held_back))
    finding = findings["trivial loss"]
    assert finding.verdict == "wrong"
    assert "noise level and nothing of the data" in finding.message
    floor = {50: 0.651, 500: 0.279, 1000: 0.197}[steps]  # seeds: sqrt(2/pi) E sqrt(abar)
    gaussian = loss_marks(model.diffusion, training_times(model.diffusion, 1024), 1.0, "l1")[1]
    assert gaussian == pytest.approx(floor, rel=0.02)
    measured = finding.figures["loss of knowing only the loudness"]
    assert 0.88 * floor < measured < floor  # music is silent here and loud there
    assert findings["share of the possible"].verdict == "wrong"


def test_loss_of_answering_zero(piano):
    model = eps_model(piano.fresh(), 1000, knows=False)
    with torch.no_grad():
        model.diffusion.net.weight.zero_()
    finding = found(examine_losses(model, piano.train, piano.held_back))["trivial loss"]
    assert finding.verdict == "wrong" and "answers zero, sqrt(2/pi) = 0.798" in finding.message
    diary = check_trivial_loss(1.0, "mse")
    assert diary.verdict == "wrong" and "answers zero, 1.0" in diary.message
