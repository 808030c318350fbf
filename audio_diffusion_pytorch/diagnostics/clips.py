"""Some of many clips, for checks that need only a few."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from audio_diffusion_pytorch.data.clip import Clip


def take(clips: Clip, places: Sequence[int] | Tensor) -> Clip:
    """Return the clips at these places of a batch, in this order, with their labels and names."""
    chosen = places.tolist() if isinstance(places, Tensor) else list(places)
    names = [clips.name[place] for place in chosen] if len(clips.name) else clips.name
    rows = torch.tensor(chosen, dtype=torch.long)
    return Clip(clips.audio[rows], clips.labels[rows], names)  # type: ignore[arg-type]


def evenly(audio: Tensor, count: int) -> Tensor:
    """Return at most `count` of the sounds `(b, c, t)`, spread evenly, first and last included."""
    if len(audio) <= count:
        return audio
    return audio[torch.linspace(0, len(audio) - 1, count).round().long()]
