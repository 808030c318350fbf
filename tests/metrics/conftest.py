"""Real piano notes and made-up tones with a known pitch."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
import soundfile
import torch
from torch import Generator, Tensor

SAMPLE_RATE = 16000


class Piano(NamedTuple):
    audio: Tensor  # (226, 32000)
    notes: Tensor  # (226,) MIDI numbers, float
    velocities: list[str]


@pytest.fixture(scope="session")
def piano(piano_folder: Path) -> Piano:
    paths = sorted(piano_folder.glob("*.flac"))
    audio = torch.zeros(len(paths), 2 * SAMPLE_RATE)
    for row, path in zip(audio, paths, strict=True):
        samples, rate = soundfile.read(path, dtype="float32")
        assert rate == SAMPLE_RATE
        row[: len(samples)] = torch.from_numpy(samples)
    fields = [path.stem.split("_") for path in paths]
    notes = torch.tensor([float(field[0]) for field in fields])
    return Piano(audio, notes, [field[2] for field in fields])


@pytest.fixture(scope="session")
def make_tone() -> Callable[..., Tensor]:
    """A tone of given partials, with random phases and an rms of 0.1."""

    def make(
        frequency: float,
        amplitudes: dict[int, float],
        *,
        length: int = SAMPLE_RATE,
        sample_rate: int = SAMPLE_RATE,
        stretch: float = 0.0,
        decay: float = 0.0,
        snr_db: float = math.inf,
    ) -> Tensor:
        generator = Generator().manual_seed(round(frequency * 100))
        time = torch.arange(length, dtype=torch.float64) / sample_rate
        tone = torch.zeros_like(time)
        for partial, amplitude in amplitudes.items():
            place = frequency * partial * math.sqrt(1 + stretch * partial**2)
            phase = torch.rand((), generator=generator, dtype=torch.float64)
            if place < 0.49 * sample_rate:
                wave = torch.cos(2 * math.pi * (place * time + phase))
                tone += amplitude * wave * torch.exp(-decay * partial**0.5 * time)
        tone = 0.1 * tone / tone.square().mean().sqrt()
        noise = torch.randn(length, generator=generator, dtype=torch.float64)
        return (tone + noise * 0.1 * 10 ** (-snr_db / 20)).float()

    return make
