"""A few of many clips, as a model takes them."""

from __future__ import annotations

from torch import nn

from audio_diffusion_pytorch.data.clip import Clip


def few_clips(model: nn.Module, clips: Clip, most: int) -> Clip:
    """Return at most so many clips, spread over all, on the device and in the dtype of the model.

    Args:
        model: Whose weights say device and dtype.
        clips: Batched clips, audio `(b, c, t)`.
        most: How many.
    """
    count = len(clips.audio)
    chosen = list(range(count))
    if count > most:
        chosen = [place * count // most for place in range(most)]
    audio, labels = clips.audio[chosen], clips.labels[chosen]
    weights = next(model.parameters(), None)
    if weights is not None:
        audio, labels = audio.to(weights.device, weights.dtype), labels.to(weights.device)
    return Clip(audio, labels, [clips.name[place] for place in chosen])  # type: ignore[arg-type]
