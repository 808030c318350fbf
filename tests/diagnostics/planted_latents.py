"""A stand-in for a learnt code, healthy or with something wrong."""

from __future__ import annotations

import torch
from torch import Generator, Tensor, nn

from audio_diffusion_pytorch import DiffusionModel, LatentNormalizer, UNetV0
from audio_diffusion_pytorch.autoencoders.companding import bend
from audio_diffusion_pytorch.data import Clip
from audio_diffusion_pytorch.ops.random import randn_like

CHANNELS, HOP = 8, 8


class ConvCode(nn.Module):
    """A stand-in for a learnt code: blocks of samples turned by an orthogonal matrix, and back.

    Its first `dead` channels hold nothing: their posterior is the prior, as a KL loss leaves them.
    The others are bent by a root into about -4..4. `draws` makes every encoding a draw, as some
    published encoders do.
    """

    def __init__(self, dead: int = 0, draws: bool = False) -> None:
        super().__init__()
        self.latent_channels, self.downsample_factor, self.sample_rate = CHANNELS, HOP, 8000
        generator = torch.Generator().manual_seed(0)
        turn, _ = torch.linalg.qr(torch.randn(CHANNELS, HOP, generator=generator))
        self.turn = nn.Parameter(turn, requires_grad=False)
        self.dead, self.draws = dead, draws

    def encode(
        self, x: Tensor, *, sample: bool = False, generator: Generator | None = None
    ) -> Tensor:
        blocks = x.unflatten(-1, (-1, HOP))[:, 0].transpose(1, 2)  # (b, HOP, frames)
        mean = 4 * bend(self.turn @ blocks, 0.2)
        spread = torch.full((CHANNELS, 1), 0.02)
        mean[:, : self.dead], spread[: self.dead] = 1e-3 * mean[:, : self.dead], 1.0
        if sample or self.draws:
            mean = mean + spread * randn_like(mean, generator)
        return mean

    def decode(self, z: Tensor) -> Tensor:
        blocks = bend(z / 4, 5.0)
        blocks = torch.cat([0 * blocks[:, : self.dead], blocks[:, self.dead :]], 1)
        return (self.turn.T @ blocks).transpose(1, 2).flatten(1)[:, None]


class AsTheyAre(LatentNormalizer):
    """A normaliser that leaves latents as they are."""

    def __init__(self) -> None:
        super().__init__(CHANNELS)
        self.fitted.fill_(True)


def behind(
    code: ConvCode | None, audio: Tensor, normalizer: LatentNormalizer | None = None
) -> DiffusionModel:
    """A small untrained model behind a code; without a normaliser one is fitted."""
    made = DiffusionModel(
        UNetV0, autoencoder=code, normalizer=normalizer, in_channels=CHANNELS, channels=(8, 8),
        factors=(1, 2), items=(1, 1), modulation_features=8,
    )  # fmt: skip
    if normalizer is None:
        made.fit_normalizer([audio])
    return made


def soft_clips(clips: Clip) -> Clip:
    """32 of some clips, at the level of a deviation of 0.15, without labels."""
    audio = clips.audio[::8][:32]
    audio = audio * (0.15 / audio.std())
    return Clip(audio, torch.empty(len(audio), 0).long(), clips.name[::8][:32])
