"""Models whose samples are known in closed form, and samplers with something wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import torch
from torch import Generator, Tensor, nn

from audio_diffusion_pytorch import DiffusionModel
from audio_diffusion_pytorch.data import Clip
from audio_diffusion_pytorch.diffusion import GaussianNoise, HalfCircle
from audio_diffusion_pytorch.ops.shapes import lift
from audio_diffusion_pytorch.protocols import State

LENGTH = 512


class ExactNet(nn.Module):
    """The perfect velocity network on the half circle for white Gaussian data of one deviation."""

    def __init__(self, deviation: float = 1.0, **_: Any) -> None:
        super().__init__()
        self.deviation = nn.Parameter(torch.tensor(deviation))

    def forward(self, x: Tensor, time: Tensor, labels: Tensor | None = None) -> Tensor:
        alpha, sigma = (lift(level, x) for level in HalfCircle().alpha_sigma(time))
        power = self.deviation**2
        clean = alpha * power / (alpha**2 * power + sigma**2) * x
        if labels is not None:  # a condition that louder classes answer to
            clean = clean * (1 + 0.1 * labels.clamp_min(0)[:, :, None])
        return (alpha * x - clean) / sigma.clamp_min(1e-6)


def exact_model(deviation: float = 1.0, **options: Any) -> DiffusionModel:
    """A trained model of white noise of a deviation, raw and mono."""
    return DiffusionModel(
        lambda dim, in_channels: ExactNet(deviation), in_channels=1, **options
    ).eval()


def clips_of(audio: Tensor) -> Clip:
    """Unlabelled clips of audio `(b, c, t)`."""
    names = [str(place) for place in range(len(audio))]
    return Clip(audio, torch.empty(len(audio), 0).long(), names)  # type: ignore[arg-type]


def white_clips(deviation: float = 1.0, count: int = 16) -> Clip:
    """What `exact_model` was trained on."""
    generator = Generator().manual_seed(7)
    return clips_of(deviation * torch.randn(count, 1, LENGTH, generator=generator))


def sampling_of(
    model: DiffusionModel, length: int = LENGTH, **options: Any
) -> Callable[[int, int, Generator], Tensor]:
    """How a model is sampled: `(num_items, num_steps, generator) -> (n, c, t)`."""

    def make(num: int, steps: int, generator: Generator) -> Tensor:
        cut = {name: v[:num] if isinstance(v, Tensor) else v for name, v in options.items()}
        return model.generate(num, length, steps, generator=generator, **cut)

    return make


class Each:
    """A constraint that changes every state: what a careless sampling loop does."""

    def __init__(self, change: Callable[[Tensor], Tensor]) -> None:
        self.change = change

    def plan(self, grid: Tensor) -> Iterable[tuple[int, int]]:
        return [(index, index + 1) for index in range(len(grid) - 1)]

    def apply(self, state: State, schedule: object, noise: object) -> State:
        return replace(state, x=self.change(state.x))


def told_by_index(
    model: DiffusionModel, length: int, told: Callable[[int, int], float], **cond: Any
) -> Callable[[int, int, Generator], Tensor]:
    """A hand-written DDIM loop over equal steps of time; `told(step, steps)` is told to the net."""
    schedule = HalfCircle()

    def make(num: int, steps: int, generator: Generator) -> Tensor:
        asked = {name: value[torch.arange(num) % len(value)] for name, value in cond.items()}
        x = torch.randn(model.latent_shape(num, length), generator=generator)
        times = torch.linspace(1, 0, steps + 1)
        for step in range(steps):
            here = schedule.alpha_sigma(times[step])
            there = schedule.alpha_sigma(times[step + 1])
            level = torch.full((num,), told(step, steps))
            said = model.diffusion.net(x, level, **asked)
            clean, noise = here[0] * x - here[1] * said, here[1] * x + here[0] * said
            x = there[0] * clean + there[1] * noise
        return model.from_space(x)[..., :length]

    return make


def fresh_noise() -> GaussianNoise:
    """Noise from torch's global generator, whatever generator sampling was given."""
    return GaussianNoise()
