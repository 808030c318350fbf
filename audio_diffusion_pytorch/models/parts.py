"""What models share: from their arguments to those of their parts, guidance, masks, modes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from audio_diffusion_pytorch.diffusion.guidance import ClassifierFreeGuidance
from audio_diffusion_pytorch.diffusion.samplers import DiffusionSampler, VSampler
from audio_diffusion_pytorch.protocols import Guidance


def split_prefix(
    prefix: str, arguments: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the arguments that start with `prefix`, without it, and the others."""
    chosen = {k.removeprefix(prefix): v for k, v in arguments.items() if k.startswith(prefix)}
    others = {k: v for k, v in arguments.items() if not k.startswith(prefix)}
    return chosen, others


@contextmanager
def naming_arguments(prefix: str, arguments: Iterable[str]) -> Iterator[None]:
    """Let a TypeError of a part name the arguments as the user wrote them."""
    try:
        yield
    except TypeError as error:
        names = ", ".join(prefix + name for name in arguments) or "none"
        part = {"": "network", "diffusion_": "objective", "sampler_": "sampler"}[prefix]
        raise TypeError(f"{error} (the model's arguments for its {part}: {names})") from error


def make_sampler(
    sampler_t: Callable[..., nn.Module] | None,
    net: nn.Module,
    diffusion: Any,
    arguments: Mapping[str, Any],
) -> nn.Module:
    """Return the sampler of a model; for the default, the one that fits the objective."""
    if sampler_t is None or sampler_t is VSampler:
        fits = isinstance(diffusion, tuple(VSampler.diffusion_types))
        if fits or not hasattr(diffusion, "denoiser"):
            return VSampler(net, **arguments)
        return DiffusionSampler(diffusion, **arguments)
    takes_objective = isinstance(sampler_t, type) and issubclass(sampler_t, DiffusionSampler)
    return sampler_t(diffusion, **arguments) if takes_objective else sampler_t(net=net, **arguments)


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Put a model into evaluation mode for a while, without gradients.

    Each module gets back the mode that it had: a part may be frozen in evaluation mode inside a
    model that is training, or the other way round.
    """
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for module, training in modes:
            module.training = training


def guided(guidance: float | Guidance, cond: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the sampler needs for guidance: nothing for scale 1.

    Raises:
        ValueError: If a scale has no labels, no text and no null condition to work on.
    """
    null = cond.get("null_cond")
    if null is None:
        null = _without(cond)
    if isinstance(guidance, int | float):
        if guidance == 1.0:
            return {}
        if null is None:
            raise ValueError(
                f"guidance {guidance:g} needs labels or text to follow, got none: pass labels, "
                "text or guidance=1"
            )
        guidance = ClassifierFreeGuidance(guidance)
    return {"guidance": guidance, "null_cond": null}


def _without(cond: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the labels and texts that stand for none at all, for those that are given."""
    null: dict[str, Any] = {}
    if cond.get("labels") is not None:
        null["labels"] = torch.full_like(cond["labels"], -1)
    if cond.get("text") is not None:
        null["text"] = [None]
    return null or None


def frame_mask(mask: Tensor, frames: int, hop: int) -> Tensor:
    """Return which frames of `hop` samples hold any real one: `(b, 1, t)` -> `(b, 1, frames)`."""
    padded = F.pad(mask, (0, frames * hop - mask.shape[-1]))
    blocks: Tensor = padded.unflatten(-1, (frames, hop))
    return blocks.amax(-1)
