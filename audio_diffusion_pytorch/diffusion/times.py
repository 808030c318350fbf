"""Which noise levels a training batch sees."""

from __future__ import annotations

import torch
from torch import Generator, Tensor

from audio_diffusion_pytorch.ops.random import check_generator


class Distribution:
    """Base of the samplers of training times: subclass it and give `__call__`."""

    def __call__(
        self, num_samples: int, device: torch.device, generator: Generator | None = None
    ) -> Tensor:
        """Return times `(num_samples,)` on `device`."""
        del num_samples, device, generator
        raise TypeError(f"{type(self).__name__} must define __call__(num_samples, device)")


class _Between(Distribution):
    """Draws from 0..1, stretched to `vmin..vmax`."""

    def __init__(self, vmin: float = 0.0, vmax: float = 1.0) -> None:
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


class UniformDistribution(_Between):
    """Times drawn evenly and independently from `vmin..vmax`.

    Args:
        vmin: Lowest time, 0 (clean) or above.
        vmax: Highest time, 1 (noise) or below.
    """


class Stratified(_Between):
    """One time from each of `num_samples` equal strata of `vmin..vmax`, in random order.

    Every batch then covers all noise levels, which takes most of the noise out of the loss curve
    while the mean loss stays the same (each time alone is still uniform).

    Args:
        vmin: Lowest time, 0 (clean) or above.
        vmax: Highest time, 1 (noise) or below.

    Source: Kingma et al. 2021, "Variational Diffusion Models", arXiv 2107.00630, appendix I.1.
    """

    def _draw(self, num_samples: int, device: torch.device, generator: Generator | None) -> Tensor:
        order = torch.randperm(num_samples, device=device, generator=generator)
        return (order + super()._draw(num_samples, device, generator)) / num_samples
