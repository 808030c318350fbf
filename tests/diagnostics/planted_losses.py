"""Networks that say the opposite, or nothing, and losses that are low for no merit of theirs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from audio_diffusion_pytorch import DiffusionModel
from audio_diffusion_pytorch.diffusion import (
    DiffusionSampler,
    DiscreteBetas,
    EpsilonPrediction,
    GaussianDiffusion,
    HalfCircle,
    VPrediction,
)


class Flipped(nn.Module):
    """A net that learnt the opposite of what it is read as."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.inside = net

    def forward(self, x: Tensor, time: Tensor, **cond: Any) -> Tensor:
        answer: Tensor = self.inside(x, time, **cond)
        return -answer


def flipped(model: DiffusionModel) -> DiffusionModel:
    """Turn the answer of a model's network around, wherever it is asked."""
    model.net = model.diffusion.net = model.sampler.net = Flipped(model.net)
    return model


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


def eps_model(model: DiffusionModel, steps: int, knows: bool = True) -> DiffusionModel:
    """The diary's method around a model that knows the data, or one that knows nothing."""
    schedule = DiscreteBetas.linear(steps, 1e-4, 0.05)
    net = AsNoise(model.net, schedule) if knows else KnowsLoudness(schedule)
    model.diffusion = GaussianDiffusion(
        net, schedule, EpsilonPrediction(), numbered(steps), loss_fn=F.l1_loss
    )
    model.net, model.sampler = net, DiffusionSampler(model.diffusion)
    return model
