"""What training showed the network at the levels that a sampler visits: noised real clips."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from audio_diffusion_pytorch.data.clip import Clip
from audio_diffusion_pytorch.diagnostics.observation import observe
from audio_diffusion_pytorch.models.clip_loss import LossFunction, diffusion_loss


@dataclass(frozen=True)
class RealLevel:
    """What the network makes of noised real clips at one level.

    Attributes:
        time: The level, in 0..1.
        state: Root mean square of the noised clips.
        guess: Root mean square of the network's guesses of the clean signal.
        error: Root mean square of guess less clean signal.
    """

    time: float
    state: float
    guess: float
    error: float


@dataclass(frozen=True)
class Reference:
    """Noised real clips, seen by the network at some levels.

    Attributes:
        clean: The clips `(b, c, *t)` in the space of the diffusion.
        levels: By falling time.
    """

    clean: Tensor
    levels: tuple[RealLevel, ...]

    @property
    def power(self) -> float:
        """Mean square of the clean signals."""
        return float(self.clean.double().square().mean())


def real_reference(
    model: nn.Module,
    clips: Clip,
    times: list[float],
    *,
    loss: LossFunction = diffusion_loss,
    seed: int = 0,
) -> Reference:
    """Return what a model makes of noised real clips at some times; one loss call for each.

    Args:
        model: The model, asked in evaluation mode.
        clips: Batched clips, 16 are plenty.
        times: In 0..1, at least one.
        loss: As in training.
        seed: Of the noise.
    """
    levels, clean = [], torch.empty(0)
    for time in times:
        seen = observe(model, clips, torch.full((len(clips.audio),), time), loss=loss, seed=seed)
        clean = seen.clean.float()
        guess = seen.guess().float()
        levels.append(RealLevel(time, rms(seen.noisy), rms(guess), rms(guess - clean)))
    return Reference(clean, tuple(levels))


def rms(x: Tensor) -> float:
    """Return the root mean square over everything."""
    return float(x.double().square().mean().sqrt())


def some_clips(clips: Clip, count: int) -> Clip:
    """Return at most `count` clips of a batch, evenly spread over it."""
    total = len(clips.audio)
    if total <= count:
        return clips
    chosen = torch.linspace(0, total - 1, count).round().long()
    names = [clips.name[place] for place in chosen.tolist()]
    # A batched clip holds a list of names, as torch's default_collate makes it.
    return Clip(clips.audio[chosen], clips.labels[chosen], names)  # type: ignore[arg-type]
