"""Faults planted in the space between audio and diffusion: each is called by its name."""

from __future__ import annotations

from math import sqrt

import pytest
import torch
from torch import Generator, Tensor, nn

from audio_diffusion_pytorch import DiffusionModel, LatentNormalizer, UNetV0
from audio_diffusion_pytorch.autoencoders.companding import bend
from audio_diffusion_pytorch.data import Clip
from audio_diffusion_pytorch.diagnostics import Finding, examine_latents, findings_text, worst
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


def model(
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


@pytest.fixture(scope="module")
def clips(piano) -> Clip:
    """32 clips of a piano, at the level of a deviation of 0.15, without labels."""
    audio = piano.train.audio[::8][:32]
    audio = audio * (0.15 / audio.std())
    return Clip(audio, torch.empty(len(audio), 0).long(), piano.train.name[::8][:32])


def found(named: str, made: nn.Module, clips: Clip) -> Finding:
    return {finding.check: finding for finding in examine_latents(made, clips)}[named]


def test_a_healthy_code(clips):
    findings = examine_latents(model(ConvCode(), clips.audio), clips)
    assert worst(findings) == "ok", findings_text(findings)
    assert len(findings) == 9


def test_zoo_latents_unscaled(clips, said):
    """The code's values run over -4..4 and go to the diffusion as they are, encoded before."""
    z = ConvCode().encode(clips.audio)
    assert -4.6 < z.min() < -4 and 4 < z.max() < 4.6
    caught = found("latent scale", model(None, z), Clip(z, clips.labels, clips.name))
    assert caught.verdict == "wrong"
    assert caught.figures["rms"] == pytest.approx(float(z.square().mean().sqrt()), rel=1e-5)
    behind = found("latent scale", model(ConvCode(), clips.audio, AsTheyAre()), clips)
    assert behind.verdict == "wrong" and "fit_normalizer" in behind.remedy
    assert found("latent scale", model(ConvCode(), clips.audio), clips).verdict == "ok"
    said("latents_unscaled", caught)


def test_zoo_dead_channels(clips, said):
    """5 of 8 channels are the prior: 4 would be half."""
    for dead, verdict in ((5, "wrong"), (1, "suspicious"), (0, "ok")):
        caught = found("dead latent channels", model(ConvCode(dead), clips.audio), clips)
        assert caught.verdict == verdict and caught.figures["dead_channels"] == dead
        if dead == 5:
            assert caught.figures["noise_only_channels"] == 5
            worst_of_them = caught
    said("dead_channels", worst_of_them)


def test_latents_that_are_draws_are_noise(clips):
    """encode gives a draw of the posterior: the dead channels become white noise of full size."""
    made = model(ConvCode(6, draws=True), clips.audio, AsTheyAre())
    for check in ("latents are noise", "dead latent channels"):
        assert found(check, made, clips).verdict == "wrong"
    assert found("encoder draws", made, clips).verdict != "ok"
    assert found("latents are noise", model(ConvCode(), clips.audio), clips).verdict == "ok"


def test_the_drawn_share_is_that_of_the_posterior(clips):
    code = ConvCode(6, draws=True)
    share = found("encoder draws", model(code, clips.audio, AsTheyAre()), clips)
    code.draws = False
    means = code.encode(clips.audio).transpose(0, 1).flatten(1).var(1, correction=0).sum().item()
    drawn = 6 * 1.0 + 2 * 0.02**2
    assert share.figures["drawn_share"] == pytest.approx(drawn / (means + drawn), rel=0.03)
    assert sqrt(means / 2) > 1.0
