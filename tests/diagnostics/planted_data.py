"""Recordings and data sets with something wrong."""

from __future__ import annotations

from pathlib import Path

import soundfile
import torch
from healthy_runs import PIANO
from torch import Tensor
from torch.utils.data import Dataset, default_collate

from audio_diffusion_pytorch import DiffusionModel, UNetV0
from audio_diffusion_pytorch.data import Clip, read_recording


class Given(Dataset[Clip]):
    """Clips that are there."""

    def __init__(self, audio: Tensor) -> None:
        none = torch.empty(0).long()
        self.clips = [Clip(sound, none, f"{i}.wav@0") for i, sound in enumerate(audio)]

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, index: int | tuple[int, int]) -> Clip:
        return self.clips[index if isinstance(index, int) else index[1]]


def changed(clips: Clip, gain: float = 1.0, offset: float = 0.0) -> Clip:
    """Return clips at another level, or beside the zero line."""
    return clips._replace(audio=gain * clips.audio + offset)


def raw_model() -> DiffusionModel:
    """Return a model of raw samples: nothing scales what it is trained on."""
    return DiffusionModel(UNetV0, in_channels=1, channels=(8, 8), factors=(1, 4), items=(1, 1))


def write_mixed_rates(folder: Path) -> None:
    """Write notes of the piano at 16, 8 and 44.1 kHz in turn."""
    sounds = sorted(PIANO.glob("*_ff.flac"))[::6]
    for sound, rate in zip(sounds, [16000, 8000, 44100] * 3, strict=False):
        soundfile.write(folder / f"{sound.stem}.wav", read_recording(sound, rate, 1)[0], rate)


def squash(items: list[Clip]) -> Clip:
    """Batch clips and scale them by the lowest and highest sample of the batch."""
    batch = default_collate(items)
    low, high = batch.audio.min(), batch.audio.max()
    return batch._replace(audio=2 * (batch.audio - low) / (high - low) - 1)
