"""What all guidance shares: bound to a net, it is a denoiser; nested, it is a rule for mixing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor

from audio_diffusion_pytorch.protocols import Denoise, Denoiser, NoiseSchedule, State

from .guesses import ByCondition, GuessedStep, Guesses, Source

Rule = Callable[[Guesses], Tensor]


class BaseGuidance:
    """Base of the guidance classes, which answers `Guidance`; subclass it and give `start`."""

    @property
    def needs_null(self) -> bool:
        """Whether there must be a null condition to move away from."""
        return True

    @property
    def goes_outside(self) -> bool:
        """Whether what changes the guess must go inside it, and nothing but `Interval` around."""
        return False

    def start(self) -> Rule:
        """Return a new rule: from the `Guesses` at one noisy signal to the guided guess.

        What a rule remembers from call to call lasts for one sampling: guidance itself holds
        only its settings.
        """
        raise TypeError(f"{type(self).__name__} must define start()")

    def __call__(
        self,
        denoise: Denoise,
        cond: Mapping[str, Any] | None = None,
        null_cond: Mapping[str, Any] | None = None,
        /,
    ) -> GuidedDenoiser:
        """Return the guided denoiser, for one sampling.

        Args:
            denoise: `(x, time, **cond) -> x0`.
            cond: The condition by name; tensors have the batch as first axis. Dictionaries and
                lists may nest; numbers and switches are shared.
            null_cond: Replaces the same names for the unconditional guess; a condition to avoid
                (a negative one) goes here too.

        Raises:
            ValueError: If a null condition is needed and there is none, or it cannot be batched
                with the condition.
        """
        if self.needs_null and not null_cond:
            raise ValueError(
                f"{self} needs a null condition to move away from, got none: pass null_cond "
                "(labels: -1 for each), or use scale 1"
            )
        used = (null_cond or {}) if self.needs_null else {}
        return GuidedDenoiser(self.start(), ByCondition(denoise, cond or {}, used))


class GuidedDenoiser:
    """A `Denoiser (x, time) -> x0` that follows a rule; made by calling a guidance.

    Args:
        rule: What mixes the guesses.
        source: Where they come from.
    """

    def __init__(self, rule: Rule, source: Source) -> None:
        self.rule, self.source = rule, source

    def __call__(self, x: Tensor, time: Tensor, /) -> Tensor:
        """Return the guided guess of the shape of `x (b, c, *t)`."""
        return self.rule(Guesses(x, time, self.source))

    def for_step(self, state: State, schedule: NoiseSchedule) -> Denoiser:
        """Return the denoiser for the step from `state.time` to `state.next_time`.

        The sampling loop asks for it before each step: `CFGPlusPlus` must know where a step goes.
        """
        step = GuessedStep(state.time, state.next_time, schedule)
        return lambda x, time: self.rule(Guesses(x, time, self.source, step))
