"""The three small trained models with nothing wrong: what they are and what they learnt from.

Imported by `tools/make_healthy_models.py`, which trains them, and by the tests, which read them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import torch
from torch.utils.data import Dataset

from audio_diffusion_pytorch import MDCT, Companded, DiffusionModel, LatentNormalizer, UNetV0
from audio_diffusion_pytorch.autoencoders import STFT
from audio_diffusion_pytorch.data import AudioFolder, Clip, SyntheticSounds
from audio_diffusion_pytorch.diffusion import ExponentialSchedule, HalfCircle, Stratified, UniPC

ROOT = Path(__file__).resolve().parents[2]
PIANO = ROOT / "examples" / "data" / "piano_16k"
RATE, LENGTH = 8000, 4096
LEARNING_RATE = 2e-3
NOTE = r"(?P<note>\d{3})_[A-G]s?\d_"


class Sounds(Dataset[Clip]):
    """Sounds in memory; each gives one random stretch of `LENGTH` samples an epoch."""

    def __init__(self, sounds: list[Clip]) -> None:
        self.sounds = sounds

    def __len__(self) -> int:
        return len(self.sounds)

    def __getitem__(self, index: int | tuple[int, int]) -> Clip:
        epoch, index = (0, index) if isinstance(index, int) else index
        sound = self.sounds[index]
        first = Random(1000 * epoch + index).randint(0, sound.audio.shape[-1] - LENGTH)
        return Clip(sound.audio[:, first : first + LENGTH], torch.empty(0).long(), sound.name)


@dataclass(frozen=True)
class Run:
    """A model's making and its data."""

    name: str
    build: Callable[[], DiffusionModel]
    data: Callable[[], tuple[Any, Any]]  # training clips, held-back clips

    @property
    def folder(self) -> Path:
        """Where the weights lie."""
        return Path(__file__).resolve().parent / "healthy" / self.name

    def load(self) -> DiffusionModel:
        """The trained model, float32, in evaluation mode."""
        return DiffusionModel.from_pretrained(self.folder).float().eval()


def piano() -> tuple[AudioFolder, AudioFolder]:
    """Notes of the piano from B2 to B5, told by number: half a second at 8 kHz from anywhere."""
    names = sorted(path.name for path in PIANO.glob("*.flac"))
    chosen = [name for name in names if 47 <= int(name[:3]) <= 83]
    held_back = chosen[3::9]
    kept = [name for name in chosen if name not in held_back]
    train = AudioFolder(PIANO, RATE, LENGTH, files=kept, labels=NOTE)
    table = train.label_table
    return train, AudioFolder(PIANO, RATE, LENGTH, files=held_back, labels=NOTE, label_table=table)


def synthetic() -> tuple[Sounds, Sounds]:
    """Sines, chirps, harmonic tones, AM, FM and pulses: half a second at 8 kHz from anywhere."""
    sounds = list(SyntheticSounds(240, sample_rate=RATE, channels=1, seed=3))
    return Sounds(sounds[:192]), Sounds(sounds[192:])


def build(autoencoder: Any, whitening: float = 0.5, **others: Any) -> DiffusionModel:
    """A model of a few hundred thousand weights behind a transform."""
    channels = autoencoder.latent_channels
    return DiffusionModel(
        UNetV0,
        autoencoder=autoencoder,
        normalizer=LatentNormalizer(channels, whitening=whitening),
        in_channels=channels,
        channels=(96, 96),
        factors=(1, 2),
        items=(1, 1),
        modulation_features=96,
        gated_skip=True,
        diffusion_sigma_distribution=Stratified(),
        sampler_solver=UniPC(),
        sampler_schedule=ExponentialSchedule(HalfCircle()),
        **others,
    )


RUNS = (
    Run(
        "piano",
        lambda: build(
            Companded(MDCT(256, sample_rate=RATE)),
            num_classes=piano()[0].label_table.num_classes,
        ),
        piano,
    ),
    Run(
        "synthetic",
        lambda: build(Companded(MDCT(128, sample_rate=RATE)), energy_embedding=True),
        synthetic,
    ),
    Run(
        "spectrogram",
        lambda: build(
            Companded(STFT(256, 128, sample_rate=RATE)),
            num_classes=piano()[0].label_table.num_classes,
        ),
        piano,
    ),
)
