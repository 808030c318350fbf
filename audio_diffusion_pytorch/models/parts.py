"""From the arguments of a model to those of its parts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from torch import nn

from audio_diffusion_pytorch.diffusion.samplers import DiffusionSampler, VSampler


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
