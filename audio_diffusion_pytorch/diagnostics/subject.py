"""What the doctor is given: a model, its data and what is left of its training."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Generator, Tensor, nn
from torch.utils.data import Dataset, default_collate

from audio_diffusion_pytorch.data.clip import Clip
from audio_diffusion_pytorch.data.folder import AudioFolder
from audio_diffusion_pytorch.diffusion.autoregressive import ARVDiffusion
from audio_diffusion_pytorch.models import (
    DiffusionAE,
    DiffusionAR,
    DiffusionModel,
    DiffusionUpsampler,
    DiffusionVocoder,
)
from audio_diffusion_pytorch.models.clip_loss import LossFunction, diffusion_loss
from audio_diffusion_pytorch.protocols import Grid, Solver

from .clips import take
from .conditioning_health import SamplingLike, sampling_like
from .conditioning_health.conditions import LEAST, leaves
from .learning.weights import Weights
from .observation import Sampling, gaussian_diffusion, observe
from .possible import Levels

MOST_CLIPS = 512
"""Among so many training clips the nearest one to a sound is sought."""
JUDGING = 32
"""Held-back clips that judge."""

_PARTS_WITH_LEVELS = (
    "each part of the signal has a noise level of its own, and these checks ask for one level a "
    "clip"
)


@dataclass(frozen=True)
class Subject:
    """A model with its data; what is None is not examined, and the diagnosis says so.

    Attributes:
        model: As it makes sounds: with averaged weights, where there are some.
        train: Training clips as one batch, audio `(b, c, t)`; see `read_clips`.
        sample_rate: Hz.
        held_back: Clips never trained on, likewise.
        data: The whole data set, or the folder of recordings; None: `train` is all there is.
        collate: How items of the data set become a batch in training; None: torch's way.
        collection: Labels and names of all training clips; see `collection_of`.
        loss: As in training.
        sampling: How it makes sounds like given clips; None: `sampling_like(model, loss)`.
        num_steps: Sampling steps with which it is used.
        raw: The same model with the weights that are trained, not averaged.
        raw_before: Those weights at an earlier step.
        averaged_before: The averaged ones at that step.
        initial: The model before training.
        learning_rate: The highest of the run.
        losses: Training losses of the run, in order.
        levels: The model's table of noise levels, where it was measured already.
        against: That of the run to compare with.
        about: What it is, in a few words.
        overfit: Whether the run was to know few clips by heart: that there are few is no fault.
    """

    model: nn.Module
    train: Clip
    sample_rate: int
    held_back: Clip | None = None
    data: Dataset[Clip] | str | Path | None = None
    collate: Callable[[list[Any]], Any] | None = None
    collection: Clip | None = None
    loss: LossFunction = diffusion_loss
    sampling: SamplingLike | None = None
    num_steps: int = 30
    raw: nn.Module | None = None
    raw_before: Weights | None = None
    averaged_before: Weights | None = None
    initial: nn.Module | None = None
    learning_rate: float | None = None
    losses: Sequence[float] = ()
    levels: Levels | None = None
    against: Levels | None = None
    about: str = ""
    overfit: bool = False

    @property
    def judging(self) -> Clip:
        """The clips that judge: held back, or those of the training."""
        return self.train if self.held_back is None else self.held_back

    @property
    def one_level_a_clip(self) -> str:
        """Why nothing can be asked at one noise level; empty where it can."""
        try:
            diffusion = gaussian_diffusion(self.model)
        except ValueError as error:
            return str(error)
        return _PARTS_WITH_LEVELS if isinstance(diffusion, ARVDiffusion) else ""

    @property
    def sampling_in_turn(self) -> Sampling | None:
        """How any number of sounds is made, like some judging clips in turn; None: not known."""
        clips = take(self.judging, _spread(len(self.judging.audio), JUDGING))
        make = _making(self, clips)
        if make is None:
            return None

        def sample(num_items: int, num_steps: int, generator: Generator) -> Tensor:
            return make([i % len(clips.audio) for i in range(num_items)], num_steps, generator)

        return sample

    def of(self, count: int) -> Subject:
        """Return the subject with at most so many training clips, spread over all."""
        return replace(self, train=take(self.train, _spread(len(self.train.audio), count)))


_Making = Callable[[list[int], int, Generator], Tensor]


def _making(subject: Subject, clips: Clip) -> _Making | None:
    """Return how sounds like the clips at some places are made; None: not known.

    A check counts how often sampling asks the network, so it is not to be asked for anything else.
    """
    model = subject.model
    led = isinstance(model, (DiffusionUpsampler, DiffusionVocoder, DiffusionAE))
    if subject.sampling or led or not isinstance(model, DiffusionModel):
        like = subject.sampling or sampling_like(model, subject.loss)
        if like is None:
            return None
        return lambda places, steps, generator: like(take(clips, places), steps, generator)
    ar = isinstance(model, DiffusionAR)
    told = {} if ar else conditions_of(model, clips, subject.loss)
    length = clips.audio.shape[-1]

    def make(places: list[int], num_steps: int, generator: Generator) -> Tensor:
        cond = {name: _pick(value, places) for name, value in told.items()}
        return model.generate(len(places), length, num_steps, generator=generator, **cond)

    return make


def conditions_of(model: nn.Module, clips: Clip, loss: LossFunction) -> dict[str, Any]:
    """Return what a network is told of each clip in training: parts with an entry for each.

    Args:
        model: Its objective is a `GaussianDiffusion`.
        clips: Batched.
        loss: As in training.
    """
    count = len(clips.audio)
    rows = max(count, LEAST)
    repeated = take(clips, [i % count for i in range(rows)])
    seen = observe(model, repeated, torch.full((rows,), 0.5), loss=loss)
    per_item = {name for name, _ in leaves(seen.cond, rows)}
    return {name: value for name, value in seen.cond.items() if name in per_item}


def _pick(value: Any, places: list[int]) -> Any:
    """Return the entries of a condition at some places; what has none stays."""
    if isinstance(value, Tensor):
        return value[places]
    if not isinstance(value, (list, tuple)):
        return value
    nested = any(isinstance(part, Tensor) for part in value)
    return [_pick(part, places) for part in value] if nested else [value[i] for i in places]


def set_sampler(
    model: nn.Module, solver: Solver | None, grid: Grid | None
) -> tuple[Solver | None, Grid | None]:
    """Give a model's own sampler a solver and a grid, and return those that it had.

    What it has no place for is left alone: other samplers have other settings.
    """
    sampler: Any = getattr(model, "sampler", None)
    before: list[Any] = []
    for names, part in ((("solver",), solver), (("grid", "schedule"), grid)):
        name = next((name for name in names if hasattr(sampler, name)), None)
        before.append(None if name is None else getattr(sampler, name))
        if name is not None and part is not None:
            setattr(sampler, name, part)
    return before[0], before[1]


@contextmanager
def sampled_by(model: nn.Module, solver: Solver | None, grid: Grid | None) -> Iterator[None]:
    """Within this context a model's own sampler has this solver and grid."""
    before = set_sampler(model, solver, grid)
    try:
        yield
    finally:
        set_sampler(model, *before)


def as_clips(audio: Tensor, labels: Tensor | None = None) -> Clip:
    """Return sounds `(b, c, t)` as batched clips, unlabelled if no labels `(b, k)` are given."""
    labels = torch.empty(len(audio), 0, dtype=torch.long) if labels is None else labels
    names = [f"clip {place}" for place in range(len(audio))]
    return Clip(audio, labels, names)  # type: ignore[arg-type]


def read_clips(data: Dataset[Clip], count: int = MOST_CLIPS) -> Clip:
    """Return at most `count` clips of epoch 0 as one batch, spread evenly over the data set.

    Args:
        data: Items by `(epoch, index)`, as an `AudioFolder` gives them.
        count: How many.
    """
    total = len(data)  # type: ignore[arg-type]
    clips: Clip = default_collate([data[(0, index)] for index in _spread(total, count)])
    return clips


def collection_of(data: AudioFolder) -> Clip | None:
    """Return labels and names of all recordings of a folder, without sound; None without labels."""
    labels = data.file_labels
    if not data.label_table.columns or not labels:
        return None
    return Clip(torch.empty(len(labels), 0), torch.stack([*labels.values()]), [*labels])  # type: ignore[arg-type]


def _spread(total: int, count: int) -> list[int]:
    count = min(total, count)
    return [place * total // count for place in range(count)]
