"""A run of whatever recipe, with the loss it was trained by and a way to make sounds of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from captions import CAPTIONED, CaptionLoss, Captions
from codes_and_parts import CodeConfig, PartsConfig, build_autoencoder, build_autoregressive
from recipe import choose_sampling
from sound_to_sound import UpsamplerConfig, VocoderConfig, build_upsampler, build_vocoder
from torch import Generator, Tensor
from trained import Trained, load_run, recipe_of

from audio_diffusion_pytorch import DiffusionModel
from audio_diffusion_pytorch.data import Clip
from audio_diffusion_pytorch.diagnostics import Sampling
from audio_diffusion_pytorch.training import LossFunction, Run, diffusion_loss


class Asked(NamedTuple):
    """Clips to make sounds like, one for each sound, and how.

    Attributes:
        model: The model, as of its recipe.
        clips: Their audio `(n, c, t)` and labels `(n, k)`, on the model's device.
        steps: Sampler steps.
        generator: Of all that is random.
        sampling: Solver, grid and guidance, as `generate` takes them.
        run: The settings and what labels stand for.
    """

    model: Any
    clips: Clip
    steps: int
    generator: Generator
    sampling: dict[str, Any]
    run: Trained


def from_noise(asked: Asked) -> Tensor:
    """Make sounds of noise, and of the clips' labels where there are some."""
    cond = {"labels": asked.clips.labels} if asked.clips.labels.shape[1] else {}
    return _generated(asked, **cond)


def from_captions(asked: Asked) -> Tensor:
    """Make the sounds that the clips' captions tell of."""
    return _generated(asked, text=Captions(asked.run.labels)(asked.clips.labels))


def _generated(asked: Asked, **cond: Any) -> Tensor:
    count, _, length = asked.clips.audio.shape
    return asked.model.generate(
        count, length, asked.steps, generator=asked.generator, **cond, **asked.sampling
    )


def from_low_rate(asked: Asked) -> Tensor:
    """Give the clips, brought to the low rate, their upper frequencies back."""
    low = asked.model.downsample(asked.clips.audio)
    return _led(asked, asked.model.sample, low, keep_low=True)


def from_spectrogram(asked: Asked) -> Tensor:
    """Make sound of the clips' spectrograms."""
    return _led(asked, asked.model.sample, asked.model.to_spectrogram(asked.clips.audio))


def from_code(asked: Asked) -> Tensor:
    """Make sound of the clips' codes."""
    asked.sampling.pop("guidance")
    return _led(asked, asked.model.decode, asked.model.encode(asked.clips.audio))


def _led(asked: Asked, make: Callable[..., Tensor], lead: Tensor, **more: Any) -> Tensor:
    length = asked.clips.audio.shape[-1]
    return make(
        lead, asked.generator, length=length, num_steps=asked.steps, **more, **asked.sampling
    )


def from_nothing(asked: Asked) -> Tensor:
    """Make sounds part by part, of noise alone, by the sampler's own way."""
    count, _, length = asked.clips.audio.shape
    return asked.model.generate(count, length, asked.steps, generator=asked.generator)


class Kind(NamedTuple):
    """A recipe: what `load_run` must know of it, and how its models make sounds."""

    known: dict[str, Any]
    make: Callable[[Asked], Tensor]


KINDS: dict[str, Kind] = {
    "unconditional": Kind({}, from_noise),
    "class_conditional": Kind({}, from_noise),
    "text_conditional": Kind(CAPTIONED, from_captions),
    "upsampler": Kind({"schema": UpsamplerConfig, "build": build_upsampler}, from_low_rate),
    "vocoder": Kind({"schema": VocoderConfig, "build": build_vocoder}, from_spectrogram),
    "diffusion_ae": Kind({"schema": CodeConfig, "build": build_autoencoder}, from_code),
    "autoregressive": Kind({"schema": PartsConfig, "build": build_autoregressive}, from_nothing),
}


def load_any_run(name: str | None, runs: str = "runs", device: str = "auto") -> Trained:
    """Return a run of any recipe in `examples/`; without a name the newest with weights.

    Raises:
        FileNotFoundError: There is no such run, or no checkpoint in it.
        ValueError: No recipe here made it, or the checkpoint is damaged.
    """
    run = Run.find(name, runs, with_weights=True)
    recipe = recipe_of(run)
    if recipe not in KINDS:
        raise ValueError(
            f"{run.directory.name} was trained by train_{recipe}.py, which any_run.py does not "
            "know: add it to KINDS there"
        )
    return load_run(str(run.directory), runs, device, **KINDS[recipe].known)


def loss_of(run: Trained) -> LossFunction:
    """Return the loss that a run was trained by."""
    if "text" in vars(run.config):
        return CaptionLoss(Captions(run.labels), run.config.text.dropout)
    return diffusion_loss


def sampling_of(run: Trained, clips: Clip, model: DiffusionModel | None = None) -> Sampling:
    """Return how a run is sampled: for clips that it is asked for in turn, by its settings.

    Args:
        run: The run.
        clips: What conditions are taken from, batched.
        model: In place of the run's own, such as one with raw weights.
    """
    model = run.model if model is None else model
    make = KINDS[run.config.recipe].make
    sampling = choose_sampling(run.model, run.config.sample)._asdict()

    def sample(num_items: int, num_steps: int, generator: Generator) -> Tensor:
        turn = torch.arange(num_items) % len(clips.audio)
        device = generator.device
        asked = Clip(clips.audio[turn].to(device), clips.labels[turn].to(device), [])
        return make(Asked(model, asked, num_steps, generator, dict(sampling), run))

    return sample
