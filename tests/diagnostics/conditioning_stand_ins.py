"""Networks small enough to be seen through, for the checks of conditioning."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from audio_diffusion_pytorch import DiffusionModel
from audio_diffusion_pytorch.conditioning import MelSpectrogram
from audio_diffusion_pytorch.data import Clip
from audio_diffusion_pytorch.diffusion import VDiffusion

COUNT, LENGTH = 12, 96


def sounds() -> Tensor:
    """Sounds `(COUNT, 1, LENGTH)`, of power 1 and at right angles to one another."""
    time = (torch.arange(LENGTH) + 0.5) / LENGTH
    rows = [2**0.5 * torch.cos(math.pi * (k + 1) * time) for k in range(COUNT)]
    return torch.stack(rows)[:, None]


def clips(labels: Tensor | None = None) -> Clip:
    """The sounds, each with its number for a label."""
    labels = torch.arange(COUNT)[:, None] if labels is None else labels
    return Clip(sounds(), labels, [f"{k}.wav@0" for k in range(COUNT)])


class Recall(nn.Module):
    """Guesses `share` times the sound of a label; for none `null` times the first, or says zero."""

    def __init__(self, dim: int, in_channels: int, share: float, null: float | None = None) -> None:
        super().__init__()
        del dim, in_channels
        self.share, self.null = nn.Parameter(torch.tensor(share)), null
        self.register_buffer("sounds", sounds())

    def forward(self, x: Tensor, time: Tensor, *, labels: Tensor | None = None) -> Tensor:
        if labels is None:
            labels = torch.full((len(x), 1), -1)
        known = (labels >= 0)[..., None]
        table = self.sounds[labels[:, 0].clamp_min(0)]
        angle = time[:, None, None] * math.pi / 2
        other = angle.cos() * x if self.null is None else self.null * self.sounds[:1]
        guess = torch.where(known, self.share * table, other)
        return (angle.cos() * x - guess) / angle.sin()


def recall(share: float, null: float | None = None) -> DiffusionModel:
    """A model of the above."""
    return DiffusionModel(Recall, in_channels=1, share=share, null=null)


class Block(nn.Module):
    """A dilated convolution of the signal, what the conditioner says added, a gate."""

    def __init__(self, width: int, bands: int, dilation: int) -> None:
        super().__init__()
        self.time = nn.Linear(width, width)
        self.dilated = nn.Conv1d(width, 2 * width, 3, padding=dilation, dilation=dilation)
        self.conditioner = nn.Conv1d(bands, 2 * width, 1)
        self.out = nn.Conv1d(width, 2 * width, 1)

    def forward(self, x: Tensor, time: Tensor, mel: Tensor) -> tuple[Tensor, Tensor]:
        added = self.dilated(x + self.time(time)[..., None]) + self.conditioner(mel)
        gate, signal = added.chunk(2, 1)
        kept, skip = self.out(gate.sigmoid() * signal.tanh()).chunk(2, 1)
        return (x + kept) * 0.5**0.5, skip


class SmallDiffWave(nn.Module):
    """A vocoder's network of a few blocks, with a last layer of zeros."""

    def __init__(self, bands: int, hop: int, width: int = 16, blocks: int = 6) -> None:
        super().__init__()
        self.hop = hop
        self.into = nn.Conv1d(1, width, 1)
        self.time = nn.Linear(16, width)
        self.blocks = nn.ModuleList(Block(width, bands, 2**i) for i in range(blocks))
        self.head = nn.Conv1d(width, 1, 1)
        nn.init.zeros_(self.head.weight)

    def forward(self, x: Tensor, time: Tensor, *, mel: Tensor) -> Tensor:
        angles = time[:, None] * torch.logspace(0, 2, 8)
        told = self.time(torch.cat([angles.sin(), angles.cos()], 1))
        mel = mel.repeat_interleave(self.hop, -1)[..., : x.shape[-1]]
        x, total = self.into(x).relu(), torch.zeros(())
        for block in self.blocks:
            x, skip = block(x, told, mel)
            total = total + skip
        return self.head((total / len(self.blocks) ** 0.5).relu())


class SmallVocoder(nn.Module):
    """Learns sounds beside their spectrograms, which arrive `level` times as strong as they should.

    DiffWave's upsampling layers do the like: what comes out of them is 50 times too quiet.
    """

    def __init__(self, level: float = 1.0, scale: float = 14.0) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.level, self.scale = level, scale
        self.mel = MelSpectrogram(
            n_fft=256, hop_length=64, win_length=256, n_mel_channels=24, sample_rate=8000,
            normalize_log=True, keep_tail=True,
        )  # fmt: skip
        self.diffusion = VDiffusion(net=SmallDiffWave(24, 64))

    def forward(self, x: Tensor, labels: Tensor | None = None, **more: object) -> Tensor:
        del labels
        mel = self.mel(x).squeeze(1)
        mel = self.level * (mel - mel.mean()) / mel.std()
        loss: Tensor = self.diffusion(self.scale * x, mel=mel, **more)
        return loss


def train(model: nn.Module, audio: Tensor, steps: int = 60, rate: float = 2e-3) -> None:
    """Train on stretches of some sounds, by Adam."""
    generator, length = torch.Generator().manual_seed(0), 1024
    optimizer = torch.optim.Adam(model.parameters(), rate)
    for _ in range(steps):
        chosen = torch.randint(len(audio), (8,), generator=generator)
        first = int(torch.randint(audio.shape[-1] - length, (), generator=generator))
        model(audio[chosen][..., first : first + length], generator=generator).backward()
        optimizer.step()
        optimizer.zero_grad()


def trained_vocoder(audio: Tensor, level: float = 1.0) -> SmallVocoder:
    """One that has learnt some sounds; what it is told is `level` times as strong as it should."""
    model = SmallVocoder(level)
    train(model, audio)
    return model
