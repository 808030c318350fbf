"""Refusing what sampling cannot work with, in one line and before anything runs."""

from __future__ import annotations

from numbers import Integral

from torch import Tensor


def check_part(what: str, part: object, method: str, example: str) -> None:
    """Refuse a class, a word or anything else where an object with `method` is wanted.

    Raises:
        ValueError: If `part` is a class or has no such method.
    """
    if isinstance(part, type):
        raise ValueError(
            f"{what} must be an object, got the class {part.__name__}: say {part.__name__}(...) "
            f"with parentheses, such as {example}"
        )
    if not callable(getattr(part, method, None)):
        raise ValueError(
            f"{what} must be an object with {method}(...), got {part!r}: pass one such as {example}"
        )


def check_whole(what: str, number: object) -> None:
    """Refuse a count that is no whole number, 3.0 included.

    Raises:
        ValueError: If it is not.
    """
    if not isinstance(number, Integral):
        raise ValueError(
            f"{what} must be a whole number, got {number!r}: pass an int, such as {what}=30"
        )


def check_row(times: object) -> None:
    """Refuse times that are no row of numbers, such as a list.

    Raises:
        ValueError: If they are no tensor of at least one axis.
    """
    if not isinstance(times, Tensor) or times.ndim == 0:
        got = "one without axes" if isinstance(times, Tensor) else type(times).__name__
        raise ValueError(
            f"times must be a tensor (n + 1,) for n steps, got {got}: say "
            "torch.tensor([1.0, 0.5, 0.0])"
        )


def check_signal(x: Tensor) -> None:
    """Refuse whole numbers, in which every noise gain below 1 would be rounded to 0.

    Raises:
        ValueError: If the signal is not of floating-point numbers.
    """
    if not x.is_floating_point():
        raise ValueError(
            f"sampling needs a signal of floating-point numbers, got {x.dtype}: use x.float()"
        )
