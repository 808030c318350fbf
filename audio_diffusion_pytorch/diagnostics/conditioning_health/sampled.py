"""Whether a condition arrives where sounds are made, not only where the network is trained."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Generator, Tensor, nn

from audio_diffusion_pytorch.data.clip import Clip
from audio_diffusion_pytorch.diagnostics.clips import take
from audio_diffusion_pytorch.diagnostics.finding import Finding
from audio_diffusion_pytorch.diagnostics.observation import (
    gaussian_diffusion,
    observe,
    time_at_decibels,
)
from audio_diffusion_pytorch.diffusion.objectives import GaussianDiffusion
from audio_diffusion_pytorch.models import (
    DiffusionAE,
    DiffusionModel,
    DiffusionUpsampler,
    DiffusionVocoder,
)
from audio_diffusion_pytorch.models.clip_loss import LossFunction, diffusion_loss

from .conditions import LEAST, Told, hear, leaves, percent, rms, spread

SamplingLike = Callable[[Clip, int, Generator], Tensor]
"""`(clips, num_steps, generator) -> (n, c, t)`: makes a sound under the condition of each clip."""

STEPS = 4
"""Enough: what is dropped at one step is dropped at all."""

ITEMS = 4
"""Sounds that are made twice."""

SAME = 1e-4
"""Difference of two sounds, as a share of their level, that rounding alone explains."""

CHECK = "condition at sampling"


def condition_at_sampling(
    model: nn.Module,
    clips: Clip,
    sampling: SamplingLike | None = None,
    *,
    num_steps: int = STEPS,
    loss: LossFunction = diffusion_loss,
    seed: int = 0,
) -> Finding:
    """Make sounds of the same noise under two conditions and say how far they differ.

    Args:
        model: The model, whose network is also asked directly, as training asks it.
        clips: Batched clips, 2 or more; 4 of them and 4 others give the conditions.
        sampling: How the model makes sounds; default `sampling_like(model)`.
        num_steps: Sampler steps.
        loss: As in training.
        seed: Of the noise.

    Raises:
        ValueError: There are fewer than 2 clips, all are told the same, or it is not known how
            the model makes sounds; as `observe`.
    """
    told = hear(model, clips, (-10.0,), loss=loss, seed=seed)
    return sampled_finding(model, clips, told, sampling, num_steps=num_steps, loss=loss, seed=seed)


def sampled_finding(
    model: nn.Module,
    clips: Clip,
    told: Told,
    sampling: SamplingLike | None = None,
    *,
    num_steps: int = STEPS,
    loss: LossFunction = diffusion_loss,
    seed: int = 0,
) -> Finding:
    """As `condition_at_sampling`, of what was heard already.

    Raises:
        ValueError: All items are told the same, or it is not known how the model makes sounds.
    """
    make = sampling_like(model, loss) if sampling is None else sampling
    if make is None or not bool(told.differs.any()):
        came = "conditions that are all the same" if make else f"a {type(model).__name__} alone"
        raise ValueError(
            "sounds are compared under conditions that differ, made by the model's own sampling, "
            f"got {came}: pass other clips and sampling=(clips, num_steps, generator) -> audio"
        )
    clips = spread(clips)
    firsts = told.differs.nonzero().flatten()
    firsts = firsts[torch.linspace(0, len(firsts) - 1, min(ITEMS, len(firsts))).round().long()]
    device = next(model.parameters()).device
    with _told_at_sampling(gaussian_diffusion(model)) as reached:
        one, other, again = (
            _made(make, take(clips, chosen), num_steps, device, seed)
            for chosen in (firsts, told.order[firsts], firsts)
        )
    return _judged(told, _apart(one, other), _apart(one, again), reached)


def _judged(told: Told, apart: float, again: float, reached: set[str]) -> Finding:
    observed = told.observed[len(told.observed) // 2]
    here = told.differs.to(observed.said.device)
    said = observed.said[here]
    change = rms(told.exchanged(observed)[here] - said) / max(rms(said), 1e-12)
    # What a network prepares for all steps may come under another name.
    lost = [name for name in told.names if name not in reached and "prepared" not in reached]
    figures: dict[str, float | str] = {
        "condition": ", ".join(told.names),
        "difference of the sounds": apart,
        "difference of the same sound made twice": again,
        "change of the network's answer": change,
        "given at sampling": ", ".join(sorted(reached)) or "nothing",
    }
    if again > SAME and lost:
        return Finding(
            CHECK,
            "wrong",
            f"the network is given the {told.phrase} in training and "
            f"{figures['given at sampling']} at sampling, where the same would be right",
            f"hand {' and '.join(lost)} from the call that makes sounds on to the sampler",
            figures,
        )
    names = " and ".join(told.names)
    same_noise = f"the same noise under another {told.phrase} makes sounds that differ by"
    if apart > max(SAME, 2 * again) or (again > SAME and not lost):
        return Finding(
            CHECK,
            "ok",
            f"{same_noise} {percent(apart)} of their level, 0 % would be right only if nothing "
            "were told",
            "",
            figures,
        )
    if change <= SAME:
        return Finding(
            CHECK,
            "suspicious",
            f"{same_noise} {percent(apart)} of their level, more than 1 % would be right, and "
            f"the network itself changes its answer by {percent(change)} only",
            "look at condition influence first: the network does not listen",
            figures,
        )
    return Finding(
        CHECK,
        "wrong",
        f"{same_noise} {percent(apart)} of their level, although the network itself changes its "
        f"answer by {percent(change)}, and about as much would be right",
        f"hand {names} from the call that makes sounds on to the sampler, and from there to "
        "the network",
        figures,
    )


def sampling_like(model: nn.Module, loss: LossFunction = diffusion_loss) -> SamplingLike | None:
    """Return how a model makes sounds like given clips; None where that is not known.

    An upsampler is given the clips at the low rate, a vocoder their spectrograms, an autoencoder
    its latents of them, and any other `DiffusionModel` what its network was told in training.

    Args:
        model: The model.
        loss: As in training; tells what the network is told.
    """

    def like(clips: Clip, num_steps: int, generator: Generator) -> Tensor:
        audio = clips.audio.to(generator.device)
        given: dict[str, Any] = {"length": audio.shape[-1], "num_steps": num_steps}
        led = given | ({"labels": clips.labels.to(audio.device)} if clips.labels.shape[-1] else {})
        made: Tensor
        if isinstance(model, DiffusionUpsampler):
            made = model.sample(model.downsample(audio), generator, **led)
        elif isinstance(model, DiffusionVocoder):
            made = model.sample(model.to_spectrogram(audio), generator, **led)
        elif isinstance(model, DiffusionAE):
            made = model.decode(model.encode(audio), generator, **led)
        else:
            cond = _told(model, clips, loss)
            made = model.generate(  # type: ignore[operator]  # a DiffusionModel, see below
                len(audio), **given, generator=generator, **cond
            )
        return made

    led = isinstance(model, DiffusionUpsampler | DiffusionVocoder | DiffusionAE)
    if not isinstance(model, DiffusionModel) or (model.dim != 1 and not led):
        return None
    return like


@contextmanager
def _told_at_sampling(diffusion: GaussianDiffusion) -> Iterator[set[str]]:
    """Collect the names of what the network is told outside the training objective."""
    reached: set[str] = set()
    training: list[bool] = []

    def collect(_: nn.Module, __: Any, cond: dict[str, Any]) -> None:
        if not training:
            reached.update(name for name, value in cond.items() if value is not None)

    watching = [
        diffusion.register_forward_pre_hook(lambda *_: training.append(True)),
        diffusion.register_forward_hook(lambda *_: training.clear(), always_call=True),
        diffusion.net.register_forward_pre_hook(collect, with_kwargs=True),
    ]
    try:
        yield reached
    finally:
        for handle in watching:
            handle.remove()


def _told(model: nn.Module, clips: Clip, loss: LossFunction) -> dict[str, Any]:
    """Return what the network is told of each clip in training."""
    count = len(clips.audio)
    rows = max(count, LEAST)
    time = time_at_decibels(gaussian_diffusion(model), torch.zeros(rows))
    observed = observe(model, take(clips, torch.arange(rows) % count), time, loss=loss)
    per_item = {name for name, _ in leaves(observed.cond, rows)}
    return {name: _first(observed.cond[name], rows, count) for name in per_item}


def _first(value: Any, rows: int, count: int) -> Any:
    """Return a condition of the first items of a batch."""
    if isinstance(value, list | tuple) and (len(value) != rows or isinstance(value[0], Tensor)):
        return [_first(part, rows, count) for part in value]
    if isinstance(value, list | tuple):
        return value[:count]
    per_item = isinstance(value, Tensor) and value.ndim > 0 and len(value) == rows
    return value[:count] if per_item else value


def _made(
    make: SamplingLike, clips: Clip, num_steps: int, device: torch.device, seed: int
) -> Tensor:
    with torch.random.fork_rng([device] if device.type == "cuda" else []), torch.no_grad():
        torch.manual_seed(seed)
        made = make(clips, num_steps, Generator(device).manual_seed(seed))
    return made.float().nan_to_num(posinf=0.0, neginf=0.0)


def _apart(one: Tensor, other: Tensor) -> float:
    return rms(one - other) / max(rms(one), 1e-12) if one.shape == other.shape else 1.0
