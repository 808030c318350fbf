"""Noise schedules, and samplers that walk them, with something wrong."""

from __future__ import annotations

import torch
from torch import Tensor

from audio_diffusion_pytorch import DiffusionModel, UNetV0
from audio_diffusion_pytorch.data import Clip
from audio_diffusion_pytorch.diffusion import (
    DiscreteBetas,
    EpsilonPrediction,
    GaussianDiffusion,
    Schedule,
    VPrediction,
    VSampler,
)

TRAINED = torch.linspace(1e-4, 0.05, 50, dtype=torch.float64)  # DiffWave's betas
FAST = [1e-4, 1e-3, 1e-2, 0.05, 0.2, 0.5]  # and its fast ones


def latents_of(model: DiffusionModel, clips: Clip) -> Clip:
    """Clips as a diffusion sees them, of unit variance, for models without an autoencoder."""
    with torch.no_grad():
        z = model.to_space(clips.audio[::8][:32])
    return Clip(z / z.square().mean().sqrt(), torch.empty(len(z), 0).long(), clips.name[::8][:32])


def noise_model(schedule: DiscreteBetas, **others) -> DiffusionModel:
    """A small untrained model of the piano's latents that answers the noise."""
    return DiffusionModel(
        UNetV0, GaussianDiffusion, in_channels=256, channels=(8, 8), factors=(1, 2), items=(1, 1),
        modulation_features=8, diffusion_schedule=schedule,
        diffusion_parameterization=EpsilonPrediction(), **others,
    )  # fmt: skip


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


class Aligned(Schedule):
    """Times for a list of betas, of which those outside of training are passed over."""

    def __init__(self, betas: list[float], schedule: DiscreteBetas) -> None:
        super().__init__()
        self.betas, self.noise_schedule = betas, schedule

    def forward(self, num_steps: int, device: torch.device) -> Tensor:
        del num_steps
        kept = DiscreteBetas(self.betas).alphas_cumprod
        steps = len(self.noise_schedule.betas)
        levels = self.noise_schedule.log_snr(torch.arange(1, steps + 1) / steps)
        wanted = torch.log(kept / (1 - kept)).float().flip(0)
        wanted = wanted[(wanted <= levels[0] + 1e-4) & (wanted >= levels[-1])]
        return torch.cat([self.noise_schedule.time_at(wanted), torch.zeros(1)]).to(device)


def aligned_model(betas: list[float], schedule: DiscreteBetas | None = None) -> DiffusionModel:
    """A model, by default of DiffWave's schedule, that is sampled by a list of betas."""
    schedule = DiscreteBetas(TRAINED) if schedule is None else schedule
    return noise_model(schedule, sampler_grid=Aligned(betas, schedule))


class WrongSign(VPrediction):
    """The velocity turned around, but read as if it were not."""

    def target(self, clean: Tensor, noise: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        return -super().target(clean, noise, alpha, sigma)


class WrongWay(VSampler):
    """Reads the velocity with the wrong sign: clean = alpha x + sigma v."""

    def _denoise(self, x: Tensor, time: Tensor, **cond) -> Tensor:
        alpha, sigma = (gain[:, None, None] for gain in self.get_alpha_beta(time))
        return alpha * x + sigma * self.net(x, time, **cond)
