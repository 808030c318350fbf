"""Planted faults of the loss, each called by its name; the healthy models are called by none."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from audio_diffusion_pytorch import DiffusionModel
from audio_diffusion_pytorch.diagnostics import (
    Finding,
    check_answer_sign,
    check_trivial_loss,
    compare_losses,
    examine_losses,
    measure_levels,
)
from audio_diffusion_pytorch.diagnostics.possible import loss_marks, training_times
from audio_diffusion_pytorch.diffusion import (
    DiscreteBetas,
    EpsilonPrediction,
    GaussianDiffusion,
    HalfCircle,
    VPrediction,
)

Said = Callable[[str, Finding], None]


class Flipped(nn.Module):
    """A net that learnt the opposite of what it is read as."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.inside = net

    def forward(self, x: Tensor, time: Tensor, **cond: Any) -> Tensor:
        answer: Tensor = self.inside(x, time, **cond)
        return -answer


class FlippedTarget(VPrediction):
    """Trains for one sign of the velocity and reads the other."""

    def target(self, clean: Tensor, noise: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        return -super().target(clean, noise, alpha, sigma)


class AsNoise(nn.Module):
    """A velocity net that is asked for the noise, on any schedule of the circle."""

    def __init__(self, net: nn.Module, schedule: DiscreteBetas) -> None:
        super().__init__()
        self.inside, self.schedule = net, schedule

    def forward(self, x: Tensor, time: Tensor, **cond: Any) -> Tensor:
        alpha, sigma = (v[:, None, None] for v in self.schedule.alpha_sigma(time))
        told = HalfCircle().time_at(self.schedule.log_snr(time))
        return alpha * self.inside(x, told, **cond) + sigma * x


class KnowsLoudness(nn.Module):
    """Says of each sample how much of it is noise on average, and looks at nothing else."""

    def __init__(self, schedule: DiscreteBetas) -> None:
        super().__init__()
        self.schedule, self.weight = schedule, nn.Parameter(torch.ones(()))

    def forward(self, x: Tensor, time: Tensor, **_: Any) -> Tensor:
        return self.weight * self.schedule.alpha_sigma(time)[1][:, None, None] * x


def numbered(steps: int) -> Callable[..., Tensor]:
    """Draws the numbered steps of a chain, as its users do."""

    def draw(count: int, device: torch.device, generator: Any = None) -> Tensor:
        return torch.randint(1, steps + 1, (count,), device=device, generator=generator) / steps

    return draw


def eps_model(model: DiffusionModel, steps: int, knows: bool) -> DiffusionModel:
    """The diary's method around a model that knows the data, or one that knows nothing."""
    schedule = DiscreteBetas.linear(steps, 1e-4, 0.05)
    net = AsNoise(model.net, schedule) if knows else KnowsLoudness(schedule)
    model.diffusion = GaussianDiffusion(
        net, schedule, EpsilonPrediction(), numbered(steps), loss_fn=F.l1_loss
    )
    return model


def found(findings: list[Finding]) -> dict[str, Finding]:
    return {finding.check: finding for finding in findings}


def test_healthy_models_are_called_by_nothing(healthy):
    findings = examine_losses(healthy.model, healthy.train, healthy.held_back)
    assert [f.text for f in findings if f.verdict != "ok"] == []
    share = found(findings)["share of the possible"].figures
    assert share["share of the possible explained"] > share["share of the best linear denoiser"]
    assert share["share of the best linear denoiser"] > 0 > share["share of guessing silence"]


def test_zoo_wrong_v_sign(piano, said: Said):
    model = piano.fresh()
    model.diffusion.net = Flipped(model.net)
    findings = found(examine_losses(model, piano.train, piano.held_back))
    finding = findings["sign of the answer"]
    assert finding.verdict == "wrong" and finding.message.startswith("wrong sign")
    assert findings["share of the possible"].verdict == "wrong"
    assert "worse than that of answering zero" in findings["trivial loss"].message
    healthy = measure_levels(piano.model, piano.train, piano.held_back).share
    assert finding.figures["share, read with the other sign"] == pytest.approx(healthy, abs=1e-5)
    said("wrong_v_sign", finding)


def test_zoo_wrong_v_sign_of_the_target(piano):
    """The training loss is as low as ever, and every sample noise."""
    model = piano.fresh()
    model.diffusion.net = Flipped(model.net)
    model.diffusion.parameterization = FlippedTarget()
    findings = found(examine_losses(model, piano.train, piano.held_back))
    finding = findings["sign of the answer"]
    assert findings["trivial loss"].verdict == "ok"
    assert findings["share of the possible"].verdict == "wrong"
    assert finding.verdict == "wrong" and finding.message.startswith("wrong sign: a perfect answer")


def test_zoo_wrong_parameterization(piano):
    """Weights of a velocity net read as the noise."""
    model = piano.fresh()
    model.diffusion.parameterization = EpsilonPrediction()
    finding = check_answer_sign(model, piano.held_back)
    assert finding.verdict == "wrong"
    assert "wrong parameterization" in finding.message and "VPrediction" in finding.message


def test_zoo_loss_low_only_because_of_more_steps(piano, said: Said):
    """The diary's 0.65, 0.25 and 0.21 with 50, 500 and 1000 steps."""
    tables = {
        steps: measure_levels(eps_model(piano.fresh(), steps, True), piano.train, piano.held_back)
        for steps in (50, 1000)
    }
    losses = {steps: table.marks.loss for steps, table in tables.items()}
    assert losses[1000] < 0.5 * losses[50]
    finding = compare_losses(tables[1000], tables[50], ("this run", "the run before"))
    assert finding.verdict == "suspicious"
    assert "only because of more steps (1000 in place of 50)" in finding.message
    assert finding.message.endswith("neither is better")
    said("loss_low_by_more_steps", finding)


def test_zoo_loss_lower_of_the_worse_run(piano):
    """More steps and knowing nothing has the lower loss than fewer steps and knowing the notes."""
    knows = measure_levels(eps_model(piano.fresh(), 50, True), piano.train, piano.held_back)
    nothing = measure_levels(eps_model(piano.fresh(), 1000, False), piano.train, piano.held_back)
    finding = compare_losses(nothing, knows, ("this run", "the run before"))
    assert finding.verdict == "suspicious"
    assert finding.message.endswith("so the run before is the better one")
    assert compare_losses(knows, knows).verdict == "ok"


@pytest.mark.parametrize("steps", [50, 500, 1000])
def test_zoo_white_noise_floor(piano, steps: int):
    model = eps_model(piano.fresh(), steps, False)
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


def test_zoo_loss_of_answering_zero(piano):
    model = eps_model(piano.fresh(), 1000, False)
    with torch.no_grad():
        model.diffusion.net.weight.zero_()
    finding = found(examine_losses(model, piano.train, piano.held_back))["trivial loss"]
    assert finding.verdict == "wrong" and "answers zero, sqrt(2/pi) = 0.798" in finding.message
    diary = check_trivial_loss(1.0, "mse")
    assert diary.verdict == "wrong" and "answers zero, 1.0" in diary.message
