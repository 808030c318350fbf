"""What a net says of one noisy signal with its condition and without, asked only when wanted."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from audio_diffusion_pytorch.diffusion.denoiser import prepared
from audio_diffusion_pytorch.protocols import Denoise, NoiseSchedule

from .conditions import stack_conditions


class Source(Protocol):
    """Where the two guesses come from; `cond` is the condition to follow, by name."""

    cond: Mapping[str, Any]

    def wanted(self, x: Tensor, time: Tensor) -> Tensor:
        """Return the guess to follow, by one call."""

    def unwanted(self, x: Tensor, time: Tensor) -> Tensor:
        """Return the guess to move away from, by one call."""

    def both(self, x: Tensor, time: Tensor) -> tuple[Tensor, Tensor]:
        """Return `(wanted, unwanted)`, by as few calls as can be."""


class ByCondition:
    """The guesses of one net with two conditions; both come out of one call.

    Args:
        denoise: `(x, time, **cond) -> x0`.
        cond: The condition to follow.
        null_cond: Replaces the same names in the guess to move away from.
    """

    def __init__(
        self, denoise: Denoise, cond: Mapping[str, Any], null_cond: Mapping[str, Any]
    ) -> None:
        self.denoise = denoise
        self.cond: Mapping[str, Any] = dict(cond)
        self._null = {**cond, **null_cond}
        self._stacked = stack_conditions(cond, null_cond) if null_cond else None

    # Each made ready once, when it is first asked for: an interval may ask for one only.
    @cached_property
    def _ready(self) -> Mapping[str, Any]:
        return prepared(self.denoise, self.cond)

    @cached_property
    def _ready_null(self) -> Mapping[str, Any]:
        return prepared(self.denoise, self._null)

    @cached_property
    def _ready_stacked(self) -> Mapping[str, Any]:
        return prepared(self.denoise, self._stacked or {})

    def wanted(self, x: Tensor, time: Tensor) -> Tensor:
        """Return the guess with the condition."""
        return self.denoise(x, time, **self._ready)

    def unwanted(self, x: Tensor, time: Tensor) -> Tensor:
        """Return the guess with the null condition."""
        return self.denoise(x, time, **self._ready_null)

    def both(self, x: Tensor, time: Tensor) -> tuple[Tensor, Tensor]:
        """Return both guesses, by one call on a batch of twice the size."""
        if self._stacked is None:  # nothing to move away from: both are the same
            guess = self.wanted(x, time)
            return guess, guess
        answer = self.denoise(torch.cat([x, x]), torch.cat([time, time]), **self._ready_stacked)
        wanted, unwanted = answer.chunk(2)
        return wanted, unwanted


class GuessedStep(NamedTuple):
    """The step that a guess is asked for: from `time` to `next_time` of `schedule`."""

    time: Tensor
    next_time: Tensor
    schedule: NoiseSchedule


class Guesses:
    """The guesses of the clean signal for one noisy signal, each asked at most once.

    Attributes:
        x: The noisy signal `(b, c, *t)`.
        time: Its level, `(b,)` or `(b, 1, *t)`.
        source: Where guesses come from.
        step: The step they are for, where the sampling loop told it.
    """

    def __init__(
        self, x: Tensor, time: Tensor, source: Source, step: GuessedStep | None = None
    ) -> None:
        self.x, self.time, self.source, self.step = x, time, source, step

    @cached_property
    def conditional(self) -> Tensor:
        """The guess to follow `(b, c, *t)`; a call of its own if none was made before."""
        return self.source.wanted(self.x, self.time)

    @cached_property
    def unconditional(self) -> Tensor:
        """The guess to move away from; it brings the conditional one along, in the same call."""
        if "conditional" in self.__dict__:
            return self.source.unwanted(self.x, self.time)
        self.conditional, unwanted = self.source.both(self.x, self.time)
        return unwanted

    @property
    def difference(self) -> Tensor:
        """The conditional guess less the unconditional one."""
        unconditional = self.unconditional
        return self.conditional - unconditional
