"""How far a network's guess of the clean signal is off at fixed levels, beside knowing loudness."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from audio_diffusion_pytorch.data.clip import Clip
from audio_diffusion_pytorch.diagnostics.observation import (
    gaussian_diffusion,
    observe,
    time_at_decibels,
)
from audio_diffusion_pytorch.models.clip_loss import LossFunction, diffusion_loss

DECIBELS = tuple(range(-20, 21, 5))
"""Signal over noise of the levels that are asked, in dB."""


@dataclass(frozen=True)
class LevelErrors:
    """Errors of the guess of the clean signal, by level.

    Attributes:
        decibels: Signal over noise at unit variance, `(k,)`.
        error: Mean squared error of the guess `(k,)`.
        loudness_only: That of the best guess that knows only how loud the clips are `(k,)`.
    """

    decibels: Tensor
    error: Tensor
    loudness_only: Tensor

    @property
    def shares(self) -> Tensor:
        """Error over that of knowing only the loudness `(k,)`: 0 is perfect, 1 no knowledge."""
        return self.error / self.loudness_only.clamp_min(torch.finfo(self.error.dtype).tiny)

    @property
    def share(self) -> float:
        """The mean of `shares`: one number over all levels."""
        return float(self.shares.mean())


def level_errors(
    model: nn.Module,
    clips: Clip,
    *,
    loss: LossFunction = diffusion_loss,
    decibels: tuple[int, ...] = DECIBELS,
    seed: int = 0,
) -> LevelErrors:
    """Return the errors of a model on clips, at each level with the same noise.

    Args:
        model: Left as it is.
        clips: Batched clips, audio `(b, c, t)`.
        loss: As in training.
        decibels: The levels.
        seed: Of the noise.

    Raises:
        ValueError: As `observe`.

    Source of the second error: Wiener 1949, for a white signal of known variance.
    """
    diffusion = gaussian_diffusion(model)
    levels = torch.tensor(decibels, dtype=torch.float32)
    errors, bounds = [], []
    for time in time_at_decibels(diffusion, levels):
        seen = observe(model, clips, time.expand(len(clips.audio)), loss=loss, seed=seed)
        power = seen.clean.cpu().double().square().mean()
        signal = seen.alpha.flatten()[0].cpu().double().square() * power
        noise = seen.sigma.flatten()[0].cpu().double().square()
        errors.append(seen.clean_error().cpu().double().mean())
        bounds.append(power * noise / (signal + noise).clamp_min(1e-300))
    return LevelErrors(levels, torch.stack(errors).cpu(), torch.stack(bounds).cpu())
