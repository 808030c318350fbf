"""Guidance without the part that only makes things louder."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

import torch
from torch import Tensor

from audio_diffusion_pytorch.ops.shapes import lift

from .base import BaseGuidance, Rule
from .classifier_free import check_scale
from .guesses import Guesses


@dataclass(frozen=True)
class AdaptiveProjectedGuidance(BaseGuidance):
    """Guide at right angles to the conditional guess, with bounded and damped moves.

    The move `d = conditional - null` is added `scale - 1` times to the conditional guess, after
    three changes: what earlier steps already moved is taken off (`momentum` below 0), its size is
    bounded, and its part along the conditional guess, which overdrives the sound, is weighed by
    `eta`. High scales then keep their level. `eta=1`, no momentum and no bound is classifier-free
    guidance; scale 1 changes nothing and makes a single call.

    Args:
        scale: As in `ClassifierFreeGuidance`.
        eta: Weight of the parallel part, 0 (none) to 1 (all).
        momentum: Weight of the sum of earlier moves; -0.75..-0.5 in the paper, 0 is none. The sum
            starts anew in each sampling, and wherever the time goes up.
        rms_threshold: Largest root mean square of a move over an item, in units of the signal;
            None is no bound. It means the same at any length: the paper's `r`, which bounds the
            root of the sum of squares, divided by the root of the number of values.

    Raises:
        ValueError: If a number is out of range.

    Source: Sadat et al. 2024, arXiv 2410.02416, section 4.
    """

    scale: float
    eta: float = 0.0
    momentum: float = -0.5
    rms_threshold: float | None = None

    def __post_init__(self) -> None:
        """Refuse what does not damp or bound."""
        check_scale(self.scale)
        if not 0.0 <= self.eta <= 1.0:
            raise ValueError(
                f"eta must be in 0 (none of the parallel part) .. 1 (all), got {self.eta}"
            )
        if not -1.0 < self.momentum < 1.0:
            raise ValueError(f"momentum must be between -1 and 1 (0 is none), got {self.momentum}")
        if self.rms_threshold is not None and not 0.0 < self.rms_threshold < inf:
            raise ValueError(
                f"rms_threshold must be finite and above 0, got {self.rms_threshold}; None is no "
                "bound"
            )

    @property
    def needs_null(self) -> bool:
        """False for scale 1, which guides nothing."""
        return self.scale != 1.0

    def start(self) -> Rule:
        """Return the rule, which remembers its moves for one sampling."""
        if self.scale == 1.0:
            return lambda guesses: guesses.conditional
        memory = _Moves(self.momentum)

        def guide(guesses: Guesses) -> Tensor:
            difference = guesses.difference  # the one call
            conditional = guesses.conditional
            exact = torch.promote_types(conditional.dtype, torch.float32)
            move = memory.add(difference.to(exact), guesses.time)
            if self.rms_threshold is not None:
                size = move.flatten(1).square().mean(1).sqrt()
                bound = (self.rms_threshold / size.clamp_min(self.rms_threshold)).to(exact)
                move = lift(bound, move) * move
            parallel = project(move, conditional.to(exact))
            update = move - (1 - self.eta) * parallel
            return (conditional + (self.scale - 1) * update).to(conditional.dtype)

        return guide


def project(x: Tensor, onto: Tensor) -> Tensor:
    """Return the part of each item of `x (b, c, *t)` along that of `onto`; 0 along silence."""
    rows, direction = x.flatten(1), onto.flatten(1)
    power = (direction * direction).sum(1, keepdim=True)
    share = (rows * direction).sum(1, keepdim=True) / power.clamp_min(torch.finfo(x.dtype).tiny)
    return (share * direction).reshape_as(x)


class _Moves:
    """The running sum `sum <- move + momentum sum`, which a rising time empties."""

    def __init__(self, momentum: float) -> None:
        self.momentum = momentum
        self.time: Tensor | None = None
        self.sum: Tensor | None = None

    def add(self, move: Tensor, time: Tensor) -> Tensor:
        if self.momentum == 0.0:
            return move
        if self.sum is not None and self.time is not None and self.sum.shape == move.shape:
            goes_on = lift(time <= self.time, move)
            move = torch.where(goes_on, move + self.momentum * self.sum, move)
        self.time, self.sum = time, move
        return move
