"""Every seam of the library in one place: what a part must answer to plug into the others.

A protocol is met by shape, not by inheritance: any object with the right call works. Shapes use
`b` items, `c` channels and `*t` one, two or three axes (time; frequency and time; ...). Times run
from 0 (clean) to 1 (noise). mypy cannot check a callable protocol on an `nn.Module`, so
`tests/contracts` runs every public class against its seam.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Generator, Tensor

NamedLosses = Mapping[str, Tensor]


class Net(Protocol):
    """A network: `x (b, c, *t)`, `time (b,)` or `(b, 1, *t)` -> `(b, c_out, *t)`.

    `**cond` holds what it understands of: text, embedding, embedding_scale, features, channels,
    labels, condition, mask.
    """

    def __call__(self, x: Tensor, time: Tensor, /, **cond: Any) -> Tensor:
        """Return the prediction `(b, c_out, *t)`."""


@runtime_checkable
class NoiseSchedule(Protocol):
    """How much signal and noise stand at a time: `x_t = alpha x0 + sigma noise`, time 1 is noise.

    All three calls are elementwise and keep the shape and dtype of their argument.
    """

    def alpha_sigma(self, time: Tensor) -> tuple[Tensor, Tensor]:
        """Return the signal gain `alpha` and the noise gain `sigma` at `time` in 0..1."""

    def log_snr(self, time: Tensor) -> Tensor:
        """Return `log(alpha^2 / sigma^2)` in nats: falls as time rises."""

    def time_at(self, log_snr: Tensor) -> Tensor:
        """Return the time with this log-SNR: the inverse of `log_snr`."""


@runtime_checkable
class Parameterization(Protocol):
    """What the network says: `x0 = c_skip x + c_out F(c_in x, c_noise)`."""

    def coefficients(
        self, time: Tensor, alpha: Tensor, sigma: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return `(c_skip, c_out, c_in, c_noise)`, each of the shape of `time`."""

    def target(self, clean: Tensor, noise: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        """Return the `F` that a perfect network gives; no division, so any level is safe."""


class TimeSampler(Protocol):
    """Draws the times of a training batch (upstream's "Distribution")."""

    def __call__(
        self, num_samples: int, device: torch.device, generator: Generator | None = None
    ) -> Tensor:
        """Return times `(num_samples,)`."""


class Grid(Protocol):
    """The times a sampler visits, falling (upstream's "Schedule")."""

    def __call__(self, num_steps: int, device: torch.device) -> Tensor:
        """Return falling times `(num_steps,)`."""


class LossWeight(Protocol):
    """Weighs the loss of each item by its noise level.

    `loss` is the error of what the net says; `c_out^2 loss` is that of the clean signal it stands
    for, so a weight meant for the clean signal is `c_out^2` times itself here, whatever the head.
    """

    def __call__(self, loss: Tensor, log_snr: Tensor, c_out: Tensor, /) -> Tensor:
        """Return the weighted losses `(b,)`; all three arguments are `(b,)`."""


class Denoiser(Protocol):
    """Guesses the clean signal: conditioning is already bound."""

    def __call__(self, x: Tensor, time: Tensor, /) -> Tensor:
        """Return `x0` of the shape of `x (b, c, *t)`; `time` is `(b,)` or `(b, 1, *t)`."""


Denoise = Callable[..., Tensor]  # (x, time, **cond) -> x0: a denoiser before its conditioning


class Guidance(Protocol):
    """Turns a conditional guess into a bound denoiser that follows its condition more closely."""

    def __call__(
        self, denoise: Denoise, cond: Mapping[str, Any], null_cond: Mapping[str, Any], /
    ) -> Denoiser:
        """Return the guided denoiser; `null_cond` replaces `cond` for the unconditional guess."""


@dataclass(frozen=True)
class State:
    """Where a sampler stands between two levels.

    Attributes:
        x: The noisy signal `(b, c, *t)` at `time`.
        time: The level of `x`, `(b,)` or `(b, 1, *t)`.
        next_time: The level to go to, of the same shape.
        index: How many steps were made.
        clean: The last guess of the clean signal, or None before the first step.
        memory: What a multistep solver keeps of earlier steps.
    """

    x: Tensor
    time: Tensor
    next_time: Tensor
    index: int = 0
    clean: Tensor | None = None
    memory: tuple[Any, ...] = ()


class NoiseSource(Protocol):
    """Gives stochastic solvers their noise between two levels."""

    def __call__(self, x: Tensor, time: Tensor, next_time: Tensor, /) -> Tensor:
        """Return unit-variance noise of the shape of `x`."""


@runtime_checkable
class Solver(Protocol):
    """One way to step from a noise level to the next.

    Attributes:
        order: The order of convergence it reaches; None where none is defined.
        net_calls: Net calls of a step between levels with both signal and noise.
    """

    order: int | None
    net_calls: int

    def step(
        self, denoiser: Denoiser, state: State, schedule: NoiseSchedule, noise: NoiseSource
    ) -> State:
        """Return the state at `state.next_time`."""


@runtime_checkable
class StepDenoiser(Protocol):
    """A denoiser that must know the step it is asked in, as CFG++ does; the loop binds it."""

    def for_step(self, state: State, schedule: NoiseSchedule) -> Denoiser:
        """Return the denoiser of the step from `state.time` to `state.next_time`."""


@runtime_checkable
class Constraint(Protocol):
    """Keeps a sample to something known (inpainting, continuation, thresholding)."""

    def plan(self, grid: Tensor) -> Iterable[tuple[int, int]]:
        """Return pairs of grid indices to walk: solve if the second is larger, else renoise."""

    def apply(self, state: State, schedule: NoiseSchedule, noise: NoiseSource) -> State:
        """Return the state after a step, corrected."""


@runtime_checkable
class Autoencoder(Protocol):
    """A space to work in: a learnt code, or an exact transform (which has no weights).

    One whose frames see more than their own samples may say how many more on either side, in an
    attribute `reach` (`num_bins // 2` for `MDCT`; 0 where there is none): what `inpaint` must know.

    Attributes:
        latent_channels: Channels of `z`.
        downsample_factor: Audio samples per latent frame.
        sample_rate: Hz, or None where the space does not depend on it.
    """

    latent_channels: int
    downsample_factor: int
    sample_rate: int | None

    def encode(
        self, x: Tensor, *, sample: bool = False, generator: Generator | None = None
    ) -> Tensor:
        """Return `z (b, latent_channels, frames)` of audio `(b, c, t)`: the posterior mean."""

    def decode(self, z: Tensor) -> Tensor:
        """Return audio `(b, c, frames * downsample_factor)`."""


class Bottleneck(Protocol):
    """Narrows a latent: `z` -> `z` and the named losses that keep it narrow."""

    def __call__(self, z: Tensor, /) -> tuple[Tensor, NamedLosses]:
        """Return the latent `(b, c, t)` and its losses."""


class Discriminator(Protocol):
    """Tells real from made: one (logits, features) pair per scale."""

    def __call__(self, x: Tensor, /) -> list[tuple[Tensor, list[Tensor]]]:
        """Return the verdict of each scale on `x (b, c, t)`."""


class MaskingAgent(Protocol):
    """Chooses what of two sources to keep: masks in 0..1 of the shape of `a` and `b`."""

    def __call__(self, a: Tensor, b: Tensor, /) -> tuple[Tensor, Tensor]:
        """Return `(mask_a, mask_b)`."""


@runtime_checkable
class Metric(Protocol):
    """A figure gathered over batches."""

    def update(self, *batch: Tensor) -> None:
        """Take one more batch in."""

    def compute(self) -> float:
        """Return the figure over everything since `reset`."""

    def reset(self) -> None:
        """Forget everything."""
