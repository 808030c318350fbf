"""The base of the samplers of training times, and the even one."""

from __future__ import annotations

import inspect
from collections.abc import Callable

import torch
from torch import Generator, Tensor, nn

from audio_diffusion_pytorch.ops.random import check_generator
from audio_diffusion_pytorch.protocols import TimeSampler
from audio_diffusion_pytorch.serialization import Recorded


class Distribution(Recorded):
    """Base of the samplers of training times: subclass it and give `__call__`."""

    def __call__(
        self, num_samples: int, device: torch.device, generator: Generator | None = None
    ) -> Tensor:
        """Return times `(num_samples,)` on `device`."""
        del num_samples, device, generator
        raise TypeError(f"{type(self).__name__} must define __call__(num_samples, device)")


class Between(Distribution):
    """Draws from 0..1, stretched to `vmin..vmax`: the base of the even samplers."""

    def __init__(self, vmin: float = 0.0, vmax: float = 1.0) -> None:
        if not vmin <= vmax:
            raise ValueError(f"vmin must not be above vmax, got {vmin:g} and {vmax:g}: swap them")
        self.vmin, self.vmax = vmin, vmax

    def __call__(
        self,
        num_samples: int,
        device: torch.device | str = "cpu",
        generator: Generator | None = None,
    ) -> Tensor:
        """Return times `(num_samples,)` in `vmin..vmax`."""
        device = torch.device(device)
        check_generator(generator, device)
        draws = self._draw(num_samples, device, generator)
        return (self.vmax - self.vmin) * draws + self.vmin

    def _draw(self, num_samples: int, device: torch.device, generator: Generator | None) -> Tensor:
        return torch.rand(num_samples, device=device, generator=generator)


class UniformDistribution(Between):
    """Times drawn evenly and independently from `vmin..vmax`.

    Args:
        vmin: Lowest time, 0 (clean) or above.
        vmax: Highest time, 1 (noise) or below.

    Raises:
        ValueError: If `vmin` is above `vmax`.
    """


def draw_times(
    sampler: TimeSampler | Callable[..., Tensor],
    num_samples: int,
    device: torch.device,
    generator: Generator | None = None,
) -> Tensor:
    """Return times `(num_samples,)` of any sampler, also of one written without a generator.

    Such a sampler (upstream's `Distribution` took none) draws from torch's global generators, which
    are seeded from `generator` for that draw and put back after it.

    Raises:
        ValueError: If the generator lives on another device, or the shape is not
            `(num_samples,)`.
    """
    check_generator(generator, device)
    if generator is None:
        times = sampler(num_samples, device)
    elif _takes_generator(sampler):
        times = sampler(num_samples, device, generator=generator)
    else:
        seed = torch.randint(2**62, (1,), generator=generator, device=device)
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            torch.manual_seed(int(seed))
            times = sampler(num_samples, device)
    if times.shape != (num_samples,):
        raise ValueError(
            f"the sampler of training times must return shape ({num_samples},), got "
            f"{tuple(times.shape)} from {type(sampler).__name__}"
        )
    return times


def _takes_generator(sampler: Callable[..., Tensor]) -> bool:
    called = sampler.forward if isinstance(sampler, nn.Module) else sampler
    return "generator" in inspect.signature(called).parameters
