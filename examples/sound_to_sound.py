"""Settings of the models that are led by a sound: the upsampler and the vocoder.

Their network answers with gains for its noisy input (`GainPlugin`): most numbers of a spectrum are
next to nothing, and of these it only has to pass the noise on, at the right scale.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from recipe import PIANO, Config, ModelConfig, SampleConfig, build_model

from audio_diffusion_pytorch import DiffusionUpsampler, DiffusionVocoder, UNetV0
from audio_diffusion_pytorch.nets import GainPlugin
from audio_diffusion_pytorch.training import DataConfig


@dataclass
class UpsamplerModelConfig(ModelConfig):
    """The model, with its two rates.

    Attributes:
        factor: How many times `data.sample_rate` is above the rate to start from.
    """

    bins: int = 1024
    channels: tuple[int, ...] = (384, 384)
    factor: int = 4


@dataclass
class UpsamplerConfig(Config):
    """The settings of an upsampler."""

    recipe: Literal["upsampler"] = "upsampler"
    data: DataConfig = field(default_factory=lambda: DataConfig(path=PIANO, crop="start"))
    model: UpsamplerModelConfig = field(default_factory=UpsamplerModelConfig)
    sample: SampleConfig = field(default_factory=lambda: SampleConfig(steps=8))


def build_upsampler(config: UpsamplerConfig) -> DiffusionUpsampler:
    """Return the model of these settings.

    Raises:
        ValueError: Settings of the model that do not go together.
    """
    return build_model(
        config,
        model_t=DiffusionUpsampler,
        net_t=GainPlugin(UNetV0),
        upsample_factor=config.model.factor,
    )


@dataclass
class VocoderModelConfig(ModelConfig):
    """The model, with its spectrogram.

    Attributes:
        mels: Bands of the spectrogram.
        frame: Samples of its frames.
        hop: Samples between them; a multiple of `bins`, or a whole part of it.
    """

    bins: int = 1024
    channels: tuple[int, ...] = (384, 384)
    mels: int = 80
    frame: int = 1024
    hop: int = 256


@dataclass
class VocoderConfig(Config):
    """The settings of a vocoder."""

    recipe: Literal["vocoder"] = "vocoder"
    data: DataConfig = field(default_factory=lambda: DataConfig(path=PIANO, crop="start"))
    model: VocoderModelConfig = field(default_factory=VocoderModelConfig)
    sample: SampleConfig = field(default_factory=lambda: SampleConfig(steps=8))


def build_vocoder(config: VocoderConfig) -> DiffusionVocoder:
    """Return the model of these settings; it hears the logarithm of mel magnitudes.

    Raises:
        ValueError: Settings of the model that do not go together.
    """
    return build_model(
        config,
        model_t=DiffusionVocoder,
        net_t=GainPlugin(UNetV0),
        mel_channels=config.model.mels,
        mel_n_fft=config.model.frame,
        mel_hop_length=config.model.hop,
        mel_sample_rate=config.data.sample_rate,
        mel_normalize_log=True,
    )
