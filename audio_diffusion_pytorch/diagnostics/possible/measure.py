"""Measures a model's error of the clean signal at fixed noise levels, beside what is possible."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from math import log, log10

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from audio_diffusion_pytorch.data.clip import Clip
from audio_diffusion_pytorch.diagnostics.observation import (
    Observation,
    evaluated,
    gaussian_diffusion,
    observe,
    time_at_decibels,
)
from audio_diffusion_pytorch.diffusion.autoregressive import ARVDiffusion
from audio_diffusion_pytorch.diffusion.floors import (
    mean_absolute,
    target_shares,
    wiener_loss,
    zero_loss,
)
from audio_diffusion_pytorch.diffusion.objectives import GaussianDiffusion
from audio_diffusion_pytorch.diffusion.times import shared_strata
from audio_diffusion_pytorch.models.clip_loss import LossFunction, diffusion_loss, to_device

from .levels import DECIBELS, Levels, LossKind, LossMarks
from .linear import LinearDenoiser

MOST_CLIPS = 32
"""Clips that are judged."""
SOME_CLIPS = 16
"""Training clips that are judged beside held-back ones."""
MOST_LEARNT = 128
"""Clips that the linear denoiser is made from: each is asked only once, and few make it worse."""
_FEWEST_LEARNT, _MOST_VALUES = 16, 2**23  # clips; samples of all of them
_BATCH = 16
_DRAWN = 4096  # times drawn to know the distribution of training times
_REACHED = 0.5  # dB between a level and the nearest that the schedule has


class LevelMeter:
    """Judges clips, a batch at a time; the sums of several processes may be added.

    Args:
        diffusion: The objective; its levels and training times are taken from it.
        linear: The best linear denoiser, made from training clips.
        num_clips: How many clips will be judged in all.
        loss: As in training.
        held_back: Whether these clips were never trained on.
        rounds: How many of the training times each clip is tried at.
        seed: Of the noise and of which clip meets which training time.

    Raises:
        ValueError: The schedule reaches none of the levels, or has no inverse.
    """

    def __init__(
        self,
        diffusion: GaussianDiffusion,
        linear: LinearDenoiser,
        num_clips: int,
        *,
        loss: LossFunction = diffusion_loss,
        held_back: bool = True,
        rounds: int = 1,
        seed: int = 0,
    ) -> None:
        self.linear, self.num_clips, self.loss = linear, num_clips, loss
        self.held_back, self.rounds, self.seed = held_back, rounds, seed
        self.decibels, self.times = reached_levels(diffusion, linear.variance)
        self.training_times = training_times(diffusion, num_clips * rounds, seed)
        self.kind, self.exact = kind_of_loss(diffusion)

    @property
    def num_sums(self) -> int:
        """How many numbers `sums` gives."""
        return 5 + 2 * len(self.decibels)

    @torch.no_grad()
    def sums(self, model: nn.Module, clips: Clip, first: int) -> Tensor:
        """Judge a batch; the sums over clips, float64 on the CPU, add up over batches.

        Args:
            model: The model.
            clips: Batched clips.
            first: The place of the first of them among all clips.
        """
        schedule = gaussian_diffusion(model).schedule
        count, seed = len(clips.audio), self.seed + first
        errors, clean = [], None
        for time in self.times.tolist():
            told = torch.full((count,), time, dtype=torch.float32)
            seen = observe(model, clips, told, loss=self.loss, seed=seed)
            errors.append(seen.clean_error().float().cpu().double().sum())
            clean = seen.clean
        if clean is None:
            raise ValueError("a meter needs at least one level")
        answers = torch.zeros(3, dtype=torch.float64)
        for turn in range(self.rounds):
            start = turn * self.num_clips + first
            told = self.training_times[start : start + count].float()
            seen = observe(model, clips, told, loss=self.loss, seed=seed)
            answers += answer_errors(seen, self.kind, self.linear.variance)
        alpha, sigma = schedule.alpha_sigma(self.times)
        linear = self.linear.errors(clean, alpha, sigma).sum(0)
        power = clean.float().cpu().double().square().flatten(1).mean(1).sum()
        head = torch.stack([torch.tensor(float(count), dtype=torch.float64), power])
        return torch.cat([head, answers / self.rounds, torch.stack(errors), linear])

    def levels(self, model: nn.Module, sums: Tensor) -> Levels:
        """Return the table of what was summed over all clips.

        Args:
            model: Whose table it is.
            sums: The sum of all `sums`.
        """
        diffusion, num = gaussian_diffusion(model), len(self.decibels)
        count = float(sums[0])
        variance, answered, zero, known = (sums[1:5] / count).tolist()
        errors, linear = (part / count for part in (sums[5 : 5 + num], sums[5 + num :]))
        alpha, sigma = diffusion.schedule.alpha_sigma(self.times)
        loudness = self.linear.loudness_errors(variance, alpha, sigma)
        return Levels(
            decibels=self.decibels,
            model=tuple(errors.tolist()),
            linear=tuple(linear.tolist()),
            loudness=tuple(loudness.tolist()),
            variance=variance,
            clips=round(count),
            held_back=self.held_back,
            parameterization=_words(diffusion.parameterization),
            schedule=_words(diffusion.schedule),
            num_steps=len(getattr(diffusion.schedule, "betas", ())),
            marks=LossMarks(self.kind, answered, zero, known, self.exact),
            space=self.linear.space,
        )


def measure_levels(
    model: nn.Module,
    train: Clip,
    held_back: Clip | None = None,
    *,
    loss: LossFunction = diffusion_loss,
    seed: int = 0,
) -> Levels:
    """Return the table of a model: its errors of the clean signal at fixed noise levels.

    Args:
        model: Its objective is a `GaussianDiffusion`.
        train: Clips of the training data, batched; the linear denoiser is made from them.
        held_back: Clips never trained on, which judge; None: those of `train` do.
        loss: As in training.
        seed: Of the noise.

    Raises:
        ValueError: The objective is another one, or its schedule reaches none of the levels.
    """
    diffusion = measurable(model)
    linear = linear_denoiser(model, train, loss)

    def judge(clips: Clip, new: bool, rounds: int) -> Levels:
        meter = LevelMeter(
            diffusion, linear, len(clips.audio),
            loss=loss, held_back=new, rounds=rounds, seed=seed,
        )  # fmt: skip
        sums = [meter.sums(model, part, first) for first, part in batches(clips)]
        return meter.levels(model, torch.stack(sums).sum(0))

    if held_back is None:
        return judge(some_clips(train), new=False, rounds=4)
    trained = judge(some_clips(train, SOME_CLIPS), new=False, rounds=1)
    return replace(judge(some_clips(held_back), new=True, rounds=4), train_share=trained.share)


def measurable(model: nn.Module) -> GaussianDiffusion:
    """Return the objective of a model whose error at one noise level can be measured.

    Raises:
        ValueError: It is no `GaussianDiffusion`, or one with a level for each part of the signal.
    """
    diffusion = gaussian_diffusion(model)
    if isinstance(diffusion, ARVDiffusion):
        raise ValueError(
            "a model with a noise level for each part of the signal has no error at one level: "
            "the table of levels is for objectives with one level per clip, such as VDiffusion"
        )
    return diffusion


def linear_denoiser(model: nn.Module, train: Clip, loss: LossFunction) -> LinearDenoiser:
    """Return the best linear denoiser of some training clips."""
    count = learnt_count(train.audio[0].numel())
    parts = batches(some_clips(train, count))
    return LinearDenoiser(torch.cat([clean_signals(model, part, loss) for _, part in parts]))


def learnt_count(values: int) -> int:
    """Return of how many clips the linear denoiser is made, fewer if they have many values."""
    return min(MOST_LEARNT, max(_FEWEST_LEARNT, _MOST_VALUES // max(1, values)))


class _Seen(Exception):  # noqa: N818
    """Ends a call of the loss once its clean signals are seen."""


@torch.no_grad()
def clean_signals(model: nn.Module, clips: Clip, loss: LossFunction) -> Tensor:
    """Return the clean signals `(b, c, *t)` of clips in the space of the diffusion, on the CPU.

    The network is not asked.
    """
    seen: list[Tensor] = []

    def look(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        del module
        seen.append(inputs[0].cpu())
        raise _Seen

    handle = gaussian_diffusion(model).register_forward_pre_hook(look)
    device = next(model.parameters()).device
    generator = Generator(device).manual_seed(0)
    halfway = torch.full((len(clips.audio),), 0.5, device=device)
    devices = [device] if device.type == "cuda" else []
    try:
        with torch.random.fork_rng(devices), evaluated(model), suppress(_Seen):
            loss(model, to_device(clips, device), generator, halfway)
    finally:
        handle.remove()
    if not seen:
        raise ValueError(
            "the doctor needs a loss that calls model.diffusion(clean, ...): pass the loss= that "
            "training uses"
        )
    return seen[0]


def some_clips(clips: Clip, count: int = MOST_CLIPS) -> Clip:
    """Return at most `count` clips of a batch, always the same ones, in their order."""
    total = len(clips.audio)
    chosen = some_places(total, count)
    if len(chosen) == total:
        return clips
    return Clip(clips.audio[chosen], clips.labels[chosen], [clips.name[place] for place in chosen])  # type: ignore[arg-type]


def some_places(total: int, count: int = MOST_CLIPS) -> list[int]:
    """Return at most `count` of the places 0 .. total - 1, always the same ones, in order.

    By chance and not evenly spread: clips are often listed in turns, a kind each.
    """
    order = torch.randperm(total, generator=Generator().manual_seed(total))
    return sorted(order[:count].tolist())


def batches(clips: Clip, size: int = _BATCH) -> Iterator[tuple[int, Clip]]:
    """Yield parts of a batch, each with the place of its first clip."""
    for first in range(0, len(clips.audio), size):
        part = slice(first, first + size)
        yield first, Clip(clips.audio[part], clips.labels[part], clips.name[part])


def reached_levels(
    diffusion: GaussianDiffusion, variance: float = 1.0
) -> tuple[tuple[float, ...], Tensor]:
    """Return those of the fixed levels that a schedule reaches, in dB, and their times `(n,)`.

    Levels are those of the data: quiet ones are as far over the noise where there is less noise.

    Args:
        diffusion: The objective.
        variance: Mean square of the data.

    Raises:
        ValueError: It reaches none, or its levels cannot be inverted.
    """
    decibels = torch.tensor(DECIBELS, dtype=torch.float64)
    at_unit = decibels - 10 * log10(variance if variance > 0 else 1.0)
    times = time_at_decibels(diffusion, at_unit)
    found = diffusion.schedule.log_snr(times) * (10 / log(10))
    kept = (found - at_unit).abs() < _REACHED
    if not bool(kept.any()):
        raise ValueError(
            f"the schedule {_words(diffusion.schedule)} reaches none of the levels from "
            f"{DECIBELS[0]:g} to {DECIBELS[-1]:g} dB: use one that goes from clean to noise"
        )
    return tuple(decibels[kept].tolist()), times[kept]


def training_times(diffusion: GaussianDiffusion, count: int, seed: int = 0) -> Tensor:
    """Return `(count,)` times that stand for all that training draws, in a random order.

    They are the middles of equal shares of the distribution, in 0..1 also where an objective draws
    something else, such as sigmas. The sampler of times and torch's random state are left as they
    were.
    """
    copied = copy.deepcopy(diffusion, {id(diffusion.net): diffusion.net})  # a sampler may count
    generator = Generator().manual_seed(seed)
    with torch.random.fork_rng([]), shared_strata(0, 0, 1):
        torch.manual_seed(seed)
        drawn = copied.draw_times(_DRAWN, torch.device("cpu"), generator)
    ordered = drawn.double().sort().values
    places = ((torch.arange(count) + 0.5) * (_DRAWN / count)).long()
    return ordered[places][torch.randperm(count, generator=generator)]


def loss_marks(
    diffusion: GaussianDiffusion, times: Tensor, variance: float, kind: LossKind
) -> tuple[float, float]:
    """Return the loss of answering zero, and of knowing only how loud the data are.

    Under the mean absolute error as if the data were Gaussian: music, which is silent here and
    loud there, has up to a tenth less.

    Args:
        diffusion: The objective.
        times: The times of the loss `(n,)`.
        variance: Mean square of the data.
        kind: Mean square or mean absolute error.
    """
    alpha, sigma = diffusion.schedule.alpha_sigma(times.double())
    sigma = sigma.clamp_min(1e-12)
    shares = target_shares(diffusion.parameterization, alpha, sigma)
    power = torch.tensor([variance], dtype=torch.float64)
    marks = [zero_loss(shares, power), wiener_loss(shares, alpha, sigma, power)]
    zero, loudness = (mean_absolute(mark) if kind == "l1" else mark for mark in marks)
    return float(zero.mean()), float(loudness.mean())


def answer_errors(seen: Observation, kind: LossKind, variance: float) -> Tensor:
    """Return the unweighted errors of three answers, summed over the clips, `(3,)`.

    That of the network, that of zero, and that of the best multiple of the noisy signal, which
    knows only how loud the data are. Float64 on the CPU.

    Args:
        seen: One batch.
        kind: Mean square or mean absolute error.
        variance: Mean square of the data, as training clips have it.
    """
    alpha, sigma = seen.alpha.float(), seen.sigma.float()
    clean, noise, _ = target_shares(seen.diffusion.parameterization, alpha, sigma)
    gain = (alpha * clean * variance + sigma * noise) / (alpha.square() * variance + sigma.square())
    wanted = seen.wanted.float()
    found = []
    for answer in (seen.said.float(), torch.zeros_like(wanted), gain * seen.noisy.float()):
        apart = (answer - wanted).flatten(1)
        error = apart.abs().mean(1) if kind == "l1" else apart.square().mean(1)
        found.append(error.cpu().double().sum())
    return torch.stack(found)


def kind_of_loss(diffusion: GaussianDiffusion) -> tuple[LossKind, bool]:
    """Return the kind of an objective's loss, and whether it is known to be of this kind."""
    loss_fn = diffusion.loss_fn
    if loss_fn is None or loss_fn is F.mse_loss or isinstance(loss_fn, nn.MSELoss):
        return "mse", True
    if loss_fn is F.l1_loss or isinstance(loss_fn, nn.L1Loss):
        return "l1", True
    return "mse", False


def _words(part: object) -> str:
    """Return a part in words: its own, or its class where it has none."""
    words = repr(part)
    return type(part).__name__ if " at 0x" in words else words
