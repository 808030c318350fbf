"""Latents of an encoder, brought to the frames of the level of a network that takes them in."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from functools import partial
from math import prod
from typing import Any, NamedTuple

import torch.nn.functional as F
from torch import Tensor, nn


class ContextFrames(NamedTuple):
    """How latents become the context of a level.

    Attributes:
        samples: Of the network's input in one frame of the level; None if that is not known.
        repeat: How often a latent is repeated, where the level is faster.
        fold: How many latents become the channels of one frame, where the level is slower.
    """

    samples: int | None
    repeat: int = 1
    fold: int = 1

    def __call__(self, latent: Tensor, length: int) -> Tensor:
        """Return latents `(b, c, n)` as `(b, c * fold, frames)`, for an input of `length` samples.

        Raises:
            ValueError: If there are too few latents.
        """
        if self.samples is None:
            return latent
        frames = -(-length // self.samples)
        if self.repeat > 1:
            latent = latent.repeat_interleave(self.repeat, dim=-1)
        if self.fold > 1:
            latent = F.pad(latent, (0, -latent.shape[-1] % self.fold))
            latent = latent.unflatten(-1, (-1, self.fold)).transpose(2, 3).flatten(1, 2)
        if latent.shape[-1] < frames:
            given = latent.shape[-1] * self.fold // self.repeat
            samples = self.samples * self.repeat // self.fold
            raise ValueError(
                f"{length} samples need {-(-length // samples)} latents, one for each {samples}, "
                f"got {given}: an encoder must round up, or the audio be a multiple that it likes"
            )
        return latent[..., :frames]


def plan_context(
    latent_factor: int, factors: Sequence[int] | None, depth: int, stride: int
) -> ContextFrames:
    """Return how latents reach the frames of level `depth`.

    Args:
        latent_factor: Samples of audio a latent.
        factors: How much each level of the network shortens; None if that is not known.
        depth: The level, 0 is the outermost.
        stride: Samples of audio in one frame of the network's input, and of what stands before it.

    Raises:
        ValueError: If neither rate is a multiple of the other.
    """
    if factors is None:
        return ContextFrames(None)
    level = prod(factors[: depth + 1]) * stride
    if latent_factor % level == 0:
        return ContextFrames(level, repeat=latent_factor // level)
    if level % latent_factor == 0:
        return ContextFrames(level, fold=level // latent_factor)
    every = [prod(factors[: n + 1]) * stride for n in range(len(factors))]
    raise ValueError(
        f"a latent lasts {latent_factor} samples and a frame of level inject_depth={depth} lasts "
        f"{level}, but one must be a multiple of the other: the frames of the levels last {every}, "
        "choose a level, factors or an encoder that fit"
    )


def input_stride(net_t: Callable[..., Any]) -> int:
    """Return the samples in a frame of what a network's plugins, such as `LTPlugin`, give it."""
    stride = 1
    while isinstance(net_t, partial):
        found = inspect.signature(net_t.func).bind_partial(*net_t.args, **net_t.keywords).arguments
        stride *= int(found.get("stride", 1))
        net_t = found.get("net_t")  # type: ignore[assignment]
    return stride


def takes_info(encoder: nn.Module) -> bool:
    """Return whether an encoder can be asked for more than its latents, by `with_info=True`."""
    parameters = inspect.signature(encoder.forward).parameters
    keywords = any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values())
    return keywords or "with_info" in parameters


def shortest_input(encoder: nn.Module) -> int:
    """Return the least samples an encoder takes.

    The spectrograms of audio-encoders-pytorch mirror the signal at its edges, for which it must be
    longer than what they mirror.
    """
    least = int(getattr(encoder, "min_length", None) or 1)
    mirrored = int(getattr(getattr(encoder, "mel", None), "padding", 0))
    mirrored = max(mirrored, int(getattr(getattr(encoder, "stft", None), "num_fft", 0)) // 2)
    return max(least, mirrored + 1)
