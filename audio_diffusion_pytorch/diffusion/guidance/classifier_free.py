"""Classifier-free guidance: past the conditional guess, away from the unconditional one."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite
from numbers import Real

from .base import BaseGuidance, Rule


@dataclass(frozen=True)
class ClassifierFreeGuidance(BaseGuidance):
    """Move the guess away from the unconditional one: `null + scale (conditional - null)`.

    Both guesses are made in one call on a batch of twice the size. Scale 1 changes nothing and
    makes a single call; the net must have been trained with its condition dropped now and then.
    With another condition as `null_cond` this is negative conditioning: away from that one.

    Args:
        scale: 0 ignores the condition, 1 follows it as the data do, above 1 more closely, with
            less variety.

    Raises:
        ValueError: If the scale is not finite.

    Source: Ho and Salimans 2022, arXiv 2207.12598, eq. 6 (there `scale = 1 + w`).
    """

    scale: float

    def __post_init__(self) -> None:
        """Refuse what is no number."""
        check_scale(self.scale)

    @property
    def needs_null(self) -> bool:
        """False for scale 1, which guides nothing."""
        return self.scale != 1.0

    def start(self) -> Rule:
        """Return the rule `null + scale (conditional - null)`."""
        if self.scale == 1.0:
            return lambda guesses: guesses.conditional
        return lambda guesses: guesses.unconditional + self.scale * guesses.difference


def check_scale(scale: float) -> None:
    """Refuse a guidance scale that is infinite or no number.

    Raises:
        ValueError: If so.
    """
    if not (_is_number(scale) and isfinite(scale)):
        raise ValueError(f"the guidance scale must be a finite number, got {scale!r}: 1 is off")


def _is_number(value: object) -> bool:
    return isinstance(value, Real)


def _kind(value: object) -> str:
    return f"the class {value.__name__}" if isinstance(value, type) else type(value).__name__


def as_guidance(guidance: BaseGuidance | float) -> BaseGuidance:
    """Return a guidance: a number stands for classifier-free guidance of that scale.

    Raises:
        ValueError: If it is neither, such as a class.
    """
    if isinstance(guidance, BaseGuidance):
        return guidance
    if not _is_number(guidance):
        raise ValueError(
            "guidance must be a number or an object of a guidance class, got "
            f"{_kind(guidance)}: pass such as 3.0 or ClassifierFreeGuidance(3.0), or subclass "
            "BaseGuidance"
        )
    return ClassifierFreeGuidance(guidance)


def check_inside(outer: BaseGuidance, guidance: BaseGuidance | float) -> None:
    """Refuse what cannot go inside `outer`.

    Raises:
        ValueError: If it is no guidance and no number, or belongs outside, as `CFGPlusPlus` does.
    """
    if as_guidance(guidance).goes_outside:
        name = type(outer).__name__
        remedy = "leave one out" if outer.goes_outside else f"say CFGPlusPlus({name}(...))"
        raise ValueError(
            f"{name} cannot go around CFGPlusPlus, as only Interval can, got {guidance!r} inside "
            f"it: {remedy}"
        )
