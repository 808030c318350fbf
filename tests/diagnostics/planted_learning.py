"""Networks that cannot learn, and running means of the weights that are none."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import torch
from healthy_runs import LEARNING_RATE
from torch import nn

from audio_diffusion_pytorch import DiffusionModel
from audio_diffusion_pytorch.diagnostics import Subject
from audio_diffusion_pytorch.diagnostics.learning.trial import Trial, choose_clips, train_copy


class Deaf(nn.Module):
    """A time embedding that says the same whatever the time."""

    def __init__(self, embedding: nn.Module) -> None:
        super().__init__()
        self.embedding = embedding

    def forward(self, time, *args, **kwargs):
        return self.embedding(torch.full_like(time, 0.5), *args, **kwargs)


def deafened(model: DiffusionModel) -> DiffusionModel:
    """Keep from a model's network which noise level it is asked at."""
    model.net.time_embedding = Deaf(model.net.time_embedding)
    return model


class Squashed(nn.Sequential):
    """A network that ends in a squashing function."""

    def forward(self, x, *args, **kwargs):
        net, squash = self
        return squash(net(x, *args, **kwargs))


def squashed(model: DiffusionModel, function: nn.Module) -> DiffusionModel:
    """Put a function behind the network of a model, wherever it is asked."""
    model.net = model.diffusion.net = model.sampler.net = Squashed(model.net, function)
    return model


class Stuck:
    """A running mean whose update is forgotten."""

    def __init__(self, model):
        self.module = copy.deepcopy(model)

    def update(self, model):
        pass


class Closure:
    """A running mean that closes over the model instead of copying it."""

    def __init__(self, model):
        self.module = model

    def update(self, model):
        self.module = model


class Copied(Stuck):
    """A running mean that copies the model at each update."""

    def update(self, model):
        self.module.load_state_dict(model.state_dict())


def last_steps(
    subject: Subject, mean: Any, steps: int = 12, rate: float = LEARNING_RATE
) -> Subject:
    """Train on for some steps with `mean.update(raw)` after each, and tell the doctor of them."""
    before = copy.deepcopy(subject.model.state_dict())
    mean_before = copy.deepcopy(mean.module.state_dict())

    def each(trial: Trial) -> bool:
        mean.update(trial.model)
        return False

    few = choose_clips(subject.train, 4)
    raw = train_copy(subject.model, few, rate, steps, stop=each).model
    return replace(
        subject, model=mean.module, raw=raw, raw_before=before, averaged_before=mean_before
    )
