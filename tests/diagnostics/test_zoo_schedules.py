"""Faults planted in noise schedules and in how they are walked: each is called by its name."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from audio_diffusion_pytorch import DiffusionModel, UNetV0
from audio_diffusion_pytorch.data import Clip
from audio_diffusion_pytorch.diagnostics import (
    Finding,
    check_levels_kept,
    check_parameterization,
    examine_schedule,
    findings_text,
    worst,
)
from audio_diffusion_pytorch.diffusion import (
    DiscreteBetas,
    EpsilonPrediction,
    GaussianDiffusion,
    HalfCircle,
    Schedule,
    VPrediction,
    VSampler,
)

TRAINED = torch.linspace(1e-4, 0.05, 50, dtype=torch.float64)  # DiffWave's betas
FAST = [1e-4, 1e-3, 1e-2, 0.05, 0.2, 0.5]  # and its fast ones


def found(named: str, model: nn.Module, clips: Clip) -> Finding:
    return {finding.check: finding for finding in examine_schedule(model, clips)}[named]


def latents(piano) -> Clip:
    """The piano as the diffusion sees it, of unit variance, for models without an autoencoder."""
    with torch.no_grad():
        z = piano.model.to_space(piano.train.audio[::8][:32])
    return Clip(z / z.square().mean().sqrt(), torch.empty(len(z), 0).long(), piano.train.name[::8])


def small(schedule, parameterization, **others) -> DiffusionModel:
    """A small untrained model of the piano's latents."""
    return DiffusionModel(
        UNetV0, GaussianDiffusion, in_channels=256, channels=(8, 8), factors=(1, 2), items=(1, 1),
        modulation_features=8, diffusion_schedule=schedule,
        diffusion_parameterization=parameterization, **others,
    )  # fmt: skip


def test_healthy_models(healthy):
    for clips in (healthy.train, healthy.held_back):
        findings = examine_schedule(healthy.model, clips)
        assert worst(findings) == "ok", findings_text(findings)
        assert len(findings) == 10


def test_zoo_terminal_snr(piano, said):
    """50 steps of 1e-5..0.0085, which end with the sound over the noise."""
    data = latents(piano)
    model = small(DiscreteBetas.linear(50, 1e-5, 0.0085), EpsilonPrediction())
    caught = found("terminal SNR", model, data)
    assert caught.verdict == "wrong"
    assert round(caught.figures["terminal_snr_db"], 1) == 6.2
    healed = small(DiscreteBetas.linear(1000, 1e-4, 0.02), EpsilonPrediction())
    assert round(found("terminal SNR", healed, data).figures["terminal_snr_db"], 1) == -43.9
    assert worst(examine_schedule(healed, data)) == "ok"
    said("terminal_snr", caught)


class Rising(Schedule):
    """A grid that runs from clean to noise."""

    def forward(self, num_steps: int, device: torch.device) -> Tensor:
        return torch.linspace(0, 1, num_steps, device=device)


class Upwards(VSampler):
    """A sampler of one's own that walks any grid backwards, and checks nothing."""

    def forward(self, x_noisy: Tensor, num_steps: int, **cond) -> Tensor:
        grid, x = torch.linspace(0, 0.99, num_steps + 1), x_noisy
        for time in grid[1:]:
            clean = self._denoise(x, time.expand(len(x)), **cond)
        return clean


def test_zoo_rising_grid(piano, said):
    model = piano.fresh()
    model.sampler.schedule = Rising()
    caught = found("sampling grid", model, piano.held_back)
    assert caught.verdict == "wrong" and "wrong direction" in caught.message
    assert found("sampling grid", piano.model, piano.held_back).verdict == "ok"
    said("rising_grid", caught)


def test_a_sampler_that_walks_the_wrong_way(piano):
    """The grid of the model is fine, its sampler does not look at it."""
    model = piano.fresh()
    model.sampler = Upwards(model.net, schedule=piano.model.sampler.schedule)
    caught = found("levels visited", model, piano.held_back)
    assert caught.verdict == "wrong" and "wrong direction" in caught.message
    assert found("levels visited", piano.model, piano.held_back).verdict == "ok"


class Aligned(Schedule):
    """Times for a list of betas, of which those outside of training are passed over."""

    def __init__(self, betas: list[float], schedule: DiscreteBetas) -> None:
        super().__init__()
        self.betas, self.noise_schedule = betas, schedule

    def forward(self, num_steps: int, device: torch.device) -> Tensor:
        del num_steps
        kept = DiscreteBetas(self.betas).alphas_cumprod
        levels = self.noise_schedule.log_snr(torch.arange(1, 51) / 50)
        wanted = torch.log(kept / (1 - kept)).float().flip(0)
        wanted = wanted[(wanted <= levels[0] + 1e-4) & (wanted >= levels[-1])]
        return torch.cat([self.noise_schedule.time_at(wanted), torch.zeros(1)]).to(device)


def test_zoo_levels_dropped(piano, said):
    """A list of 7 levels whose first is cleaner than any of training; 6 are walked."""
    caught = check_levels_kept(TRAINED, [1e-5, *FAST])
    assert caught.verdict == "wrong"
    assert (caught.figures["steps_asked"], caught.figures["steps_kept"]) == (7, 6)
    assert check_levels_kept(TRAINED, FAST).verdict == "ok"
    schedule = DiscreteBetas(TRAINED)
    data = latents(piano)
    for betas, verdict in (([1e-5, *FAST], "wrong"), ([5e-5, *FAST[1:]], "wrong"), (FAST, "ok")):
        model = small(schedule, EpsilonPrediction(), sampler_grid=Aligned(betas, schedule))
        findings = examine_schedule(model, data, num_steps=len(betas))
        grid = {finding.check: finding for finding in findings}["sampling grid"]
        assert grid.verdict == verdict, grid.text
        if verdict == "wrong":
            assert f"asked for {len(betas)} steps the grid makes {len(betas) - 1}" in grid.message
    said("levels_dropped", caught)


class WrongSign(VPrediction):
    """The velocity turned around, but read as if it were not."""

    def target(self, clean: Tensor, noise: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        return -super().target(clean, noise, alpha, sigma)


class WrongWay(VSampler):
    """Reads the velocity with the wrong sign: clean = alpha x + sigma v."""

    def _denoise(self, x: Tensor, time: Tensor, **cond) -> Tensor:
        alpha, sigma = (gain[:, None, None] for gain in self.get_alpha_beta(time))
        return alpha * x + sigma * self.net(x, time, **cond)


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
