"""A running mean of the weights: what to listen to, since raw weights jitter with every step."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel


class Decay(Protocol):
    """How much of a running mean stays at each update."""

    def __call__(self, updates: int, /) -> float:
        """Return the decay, 0..1, of the update that follows `updates` earlier ones."""


def move_means(
    decay: Decay,
    means: tuple[Tensor, ...] | list[Tensor],
    weights: tuple[Tensor, ...] | list[Tensor],
    updates: Tensor | int,
) -> None:
    """Move `means` towards `weights` in place; `updates` earlier updates were made."""
    torch._foreach_lerp_(means, weights, 1.0 - decay(int(updates)))


@dataclass(frozen=True)
class PowerDecay:
    """The decay of the running mean as a function of the number of updates.

    After `warmup_steps` updates that only copy, the n-th update (n = 0, 1, ...) has the decay
    `1 - (1 + n / inv_gamma) ** -power`, at most `decay`: the mean reaches over a fixed share of
    the training so far, and forgets the random start by itself. `power=0` gives `decay` always.

    Source: Karras et al. 2024, arXiv 2312.02696, section 3.1, for averages that grow with the run.

    >>> PowerDecay(decay=0.999, power=1.0)(9)
    0.9
    """

    decay: float = 0.9999
    power: float = 0.75
    inv_gamma: float = 1.0
    warmup_steps: int = 0

    def __post_init__(self) -> None:
        """Refuse values that do not average.

        Raises:
            ValueError: A value is out of its range.
        """
        if not 0.0 <= self.decay < 1.0:
            raise ValueError(f"the EMA's decay must be in 0..1 and below 1, got {self.decay}")
        if self.power < 0.0 or self.inv_gamma <= 0.0 or self.warmup_steps < 0:
            raise ValueError(
                "the EMA needs power >= 0, inv_gamma > 0 and warmup_steps >= 0, got "
                f"{self.power}, {self.inv_gamma} and {self.warmup_steps}"
            )

    def __call__(self, updates: int) -> float:
        """The decay, 0..1, of the update that follows `updates` earlier ones."""
        if updates < self.warmup_steps:
            return 0.0
        if self.power == 0.0:
            return self.decay
        age = updates - self.warmup_steps
        growing: float = 1.0 - (1.0 + age / self.inv_gamma) ** -self.power
        return min(self.decay, growing)


class EMA(AveragedModel):
    """An independent copy of a model whose weights are the running mean of the model's weights.

    Parameters are averaged, buffers copied. The first update copies the weights.
    `ema.module` is the averaged model, always in evaluation mode; calling the EMA calls it.

    Args:
        model: The model in training; it is deep-copied.
        decay: The decay of each update; `PowerFunction(0.1)` averages over a share of the run.

    >>> model = nn.Linear(1, 1)
    >>> ema = EMA(model, PowerDecay(decay=0.5, power=0.0))
    >>> for value in (1.0, 3.0):
    ...     _ = nn.init.constant_(model.bias, value)
    ...     ema.update(model)
    >>> ema.module.bias.item()
    2.0
    """

    def __init__(self, model: nn.Module, decay: Decay | None = None) -> None:
        self.decay: Decay = PowerDecay() if decay is None else decay
        super().__init__(model, multi_avg_fn=partial(move_means, self.decay))
        self.module.requires_grad_(False)
        self.eval()

    def train(self, mode: bool = True) -> EMA:
        """Stay in evaluation mode: the mean is never trained."""
        del mode
        super().train(False)
        return self

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Take the weights of `model` into the mean; call it once after each optimizer step."""
        self.update_parameters(model)
