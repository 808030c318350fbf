"""Settings of the model that codes sounds and of the one that goes on from a beginning."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import torch
from choices import SAMPLERS
from encoders import SpectrumEncoder
from recipe import (
    PIANO,
    Config,
    ModelConfig,
    SampleConfig,
    build_model,
    build_space,
    network_arguments,
)

from audio_diffusion_pytorch import DiffusionAE, DiffusionAR, UNetV0
from audio_diffusion_pytorch.nets import GainPlugin
from audio_diffusion_pytorch.nn import InjectChannels
from audio_diffusion_pytorch.training import DataConfig


@dataclass
class CodeModelConfig(ModelConfig):
    """The model, with its latents.

    Attributes:
        latent_channels: Numbers a latent, in -1..1.
        latent_hop: Samples a latent; whole frames of the transform, or a whole part of one.
    """

    channels: tuple[int, ...] = (256, 256)
    modulation_features: int = 256
    gated_skip: bool = False
    latent_channels: int = 8
    latent_hop: int = 1024


@dataclass
class CodeConfig(Config):
    """The settings of an autoencoder."""

    recipe: Literal["diffusion_ae"] = "diffusion_ae"
    data: DataConfig = field(default_factory=lambda: DataConfig(path=PIANO, crop="start"))
    model: CodeModelConfig = field(default_factory=CodeModelConfig)
    sample: SampleConfig = field(default_factory=lambda: SampleConfig(steps=8))


def build_autoencoder(config: CodeConfig) -> DiffusionAE:
    """Return the model of these settings.

    Raises:
        ValueError: Settings of the model that do not go together.
    """
    torch.manual_seed(config.train.seed)
    model = config.model
    encoder = SpectrumEncoder(config.data.channels, model.latent_hop, model.latent_channels)
    net_t = GainPlugin(UNetV0)
    built = build_model(config, model_t=DiffusionAE, encoder=encoder, inject_depth=0, net_t=net_t)
    for part in built.modules():
        if isinstance(part, InjectChannels):
            _raise_context(part)
    return built


@torch.no_grad()
def _raise_context(layer: InjectChannels) -> None:
    """Let a few codes weigh as much at the start as the many channels of the signal beside them."""
    codes = layer.conv.weight[:, layer.channels :]
    codes *= (layer.channels / codes.shape[1]) ** 0.5


@dataclass
class PartsModelConfig(ModelConfig):
    """The model, with its parts.

    Attributes:
        num_splits: Parts of a clip, whole frames of the transform, each at a level of its own.
        start_share: Share of the training clips, 0..1, that are a clean beginning and a noisy rest.
    """

    channels: tuple[int, ...] = (256, 256)
    gated_skip: bool = False
    energy_embedding: bool = False
    num_splits: int = 8
    start_share: float = 0.5


@dataclass
class PartsConfig(Config):
    """The settings of an autoregressive model; it has one objective and times of its own."""

    recipe: Literal["autoregressive"] = "autoregressive"
    data: DataConfig = field(default_factory=lambda: DataConfig(path=PIANO, crop="start"))
    model: PartsModelConfig = field(default_factory=PartsModelConfig)
    sample: SampleConfig = field(default_factory=lambda: SampleConfig(steps=16))


def build_autoregressive(config: PartsConfig) -> DiffusionAR:
    """Return the model of these settings.

    Raises:
        ValueError: Settings of the model that do not go together.
    """
    torch.manual_seed(config.train.seed)
    try:
        space = build_space(config)
        arguments = network_arguments(config) | {"net_t": GainPlugin(UNetV0)}
        return DiffusionAR(
            space.channels,
            config.data.length,
            config.model.num_splits,
            **arguments,
            autoencoder=space.autoencoder,
            normalizer=space.normalizer,
            diffusion_start_share=config.model.start_share,
            sampler_solver=SAMPLERS[config.sample.sampler],
        )
    except ValueError as error:
        raise ValueError(f"section 'model': {error}") from error
