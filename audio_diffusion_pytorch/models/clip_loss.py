"""The seam between a model and who trains or examines it: from a batch of clips to their losses."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Generator, Tensor, nn

from audio_diffusion_pytorch.data.clip import Clip


class LossFunction(Protocol):
    """`(model, batch, generator, times=None) -> (b,)`: the loss of each clip.

    `times (b,)` in 0..1 fixes the noise levels; training gives none, validation does.
    """

    def __call__(
        self, model: nn.Module, batch: Clip, generator: Generator, times: Tensor | None = None
    ) -> Tensor:
        """The losses `(b,)`."""
        ...


def diffusion_loss(
    model: nn.Module, batch: Clip, generator: Generator, times: Tensor | None = None
) -> Tensor:
    """The loss of each clip `(b,)` under a `DiffusionModel`, with its labels if it has any.

    Args:
        model: Called as `model(audio, generator=..., reduction="none", labels=..., times=...)`.
        batch: Batched clips on the model's device, audio `(b, c, t)`.
        generator: For times and noise, on that device.
        times: Fixed times `(b,)` in 0..1 in place of drawn ones.
    """
    optional: dict[str, Tensor] = {}
    if batch.labels.shape[-1] > 0:
        optional["labels"] = batch.labels
    if times is not None:
        optional["times"] = times
    losses: Tensor = model(batch.audio, generator=generator, reduction="none", **optional)
    return losses


def to_device(batch: Clip, device: torch.device) -> Clip:
    """The batch with its tensors on `device`."""
    return Clip(
        batch.audio.to(device, non_blocking=True),
        batch.labels.to(device, non_blocking=True),
        batch.name,
    )
