"""A sound as the bytes of a WAV file, for players inside a page or a log."""

from __future__ import annotations

import io
import wave
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from .plots import as_audio

if TYPE_CHECKING:
    from numpy.typing import NDArray


def wav_bytes(audio: Tensor | NDArray[Any], sample_rate: int) -> bytes:
    """A sound as a WAV file of 16 bits (PCM).

    Args:
        audio: `(c, t)` or `(t,)` in -1..1; beyond that it is cut, and non-finite samples are
            silence: this is for listening only.
        sample_rate: Hz.

    Raises:
        ValueError: `audio` is not one sound.
    """
    sound = torch.nan_to_num(as_audio(audio), nan=0.0, posinf=0.0, neginf=0.0).clamp(-1, 1)
    samples = (sound * 32767).round().to(torch.int16).T.contiguous().numpy()
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(sound.shape[0])
        writer.setsampwidth(2)
        writer.setframerate(int(sample_rate))
        writer.writeframes(samples.tobytes())  # the writer turns the bytes round where needed
    return file.getvalue()
