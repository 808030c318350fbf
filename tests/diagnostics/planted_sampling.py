"""Samplers that do not do what the model was trained for."""

from __future__ import annotations

from sampling_stand_ins import Each
from torch import Tensor

from audio_diffusion_pytorch import DiffusionModel
from audio_diffusion_pytorch.diffusion import VSampler


class Clamping(VSampler):
    """Clamps what it samples to +-1 after every step, as samplers of waveforms do."""

    def forward(self, *args, **kwargs) -> Tensor:
        return super().forward(*args, constraint=Each(lambda x: x.clamp(-1, 1)), **kwargs)


def clamping(model: DiffusionModel) -> DiffusionModel:
    """Let a model's sampler clamp its state."""
    model.sampler.__class__ = Clamping
    return model


class Swallows(DiffusionModel):
    """Forgets the labels where sounds are made."""

    def generate(self, *args, labels=None, **kwargs):
        del labels
        return super().generate(*args, **kwargs)


def swallowing(model: DiffusionModel) -> DiffusionModel:
    """Let a model forget what it is told where it makes sounds."""
    model.__class__ = Swallows
    return model


class DeafSampler(VSampler):
    """Asks the network without what it is told."""

    def forward(self, *args, labels=None, **kwargs):
        del labels
        return super().forward(*args, **kwargs)


def deaf_sampler(model: DiffusionModel) -> DiffusionModel:
    """Let a model's sampler forget what the network is told."""
    model.sampler.__class__ = DeafSampler
    return model
