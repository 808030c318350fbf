"""The three small trained models with nothing wrong: what they are and what they learnt from.

Imported by `tools/make_healthy_models.py`, which trains them, and by the tests, which read them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset

from audio_diffusion_pytorch import MDCT, Companded, DiffusionModel, LatentNormalizer, UNetV0
from audio_diffusion_pytorch.autoencoders import STFT
from audio_diffusion_pytorch.data import AudioFolder, Clip, SyntheticSounds
from audio_diffusion_pytorch.diffusion import ExponentialSchedule, HalfCircle, Stratified, UniPC

ROOT = Path(__file__).resolve().parents[2]
PIANO = ROOT / "examples" / "data" / "piano_16k"
RATE, LENGTH = 8000, 4096
NOTE = r"(?P<note>\d{3})_[A-G]s?\d_"


class Clips(Dataset[Clip]):
    """Clips in memory, the same ones in every epoch."""

    def __init__(self, clips: list[Clip]) -> None:
        self.clips = clips

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, index: int | tuple[int, int]) -> Clip:
        return self.clips[index if isinstance(index, int) else index[1]]

    @property
    def audio(self) -> Tensor:
        """All clips `(n, c, t)`."""
        return torch.stack([clip.audio for clip in self.clips])


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
    """Notes of the piano from B2 to B5, told by number: half a second at 8 kHz."""
    names = sorted(path.name for path in PIANO.glob("*.flac"))
    chosen = [name for name in names if 47 <= int(name[:3]) <= 83]
    held_back = chosen[3::9]
    shared: dict[str, Any] = {"crop": "start", "labels": NOTE}
    train = AudioFolder(
        PIANO, RATE, LENGTH, files=[n for n in chosen if n not in held_back], **shared
    )
    table = {"label_table": train.label_table}
    return train, AudioFolder(PIANO, RATE, LENGTH, files=held_back, **shared, **table)


def synthetic() -> tuple[Clips, Clips]:
    """Sines, chirps, harmonic tones, AM, FM and pulses: half a second out of their middle."""
    sounds = SyntheticSounds(240, sample_rate=RATE, channels=1, seed=3)
    clips = []
    for clip in sounds:
        first = (clip.audio.shape[-1] - LENGTH) // 2
        clips.append(Clip(clip.audio[:, first : first + LENGTH], torch.empty(0).long(), clip.name))
    return Clips(clips[:192]), Clips(clips[192:])


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
