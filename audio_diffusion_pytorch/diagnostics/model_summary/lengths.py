"""Which lengths a model takes, found by trying."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise

REFUSALS = (ValueError, RuntimeError, TypeError, IndexError, AssertionError, ZeroDivisionError)
"""What a model that does not take a length raises."""

SHORTEST_TRIED = 16


@dataclass(frozen=True)
class LengthsAccepted:
    """Which lengths a model takes.

    Attributes:
        multiple: Lengths must be multiples of this; 1: any.
        smallest: The smallest that was taken.
        refused: The first line of what was said to some lengths that were not.
        around: A length near which they were tried too.
    """

    multiple: int
    smallest: int
    refused: dict[int, str] = field(default_factory=dict)
    around: int = 0

    @property
    def text(self) -> str:
        """One sentence without a full stop."""
        if not self.multiple:
            length, said = next(iter(self.refused.items()))
            return f"none of the lengths tried, {length} samples for one: {said}"
        if self.multiple == 1 and self.smallest == 1:
            return f"any: it pads and crops (1 to {SHORTEST_TRIED} and some around {self.around})"
        least = f", from {self.smallest} on" if self.smallest > self.multiple else ""
        text = "any" if self.multiple == 1 else f"multiples of {self.multiple}"
        length, said = next(iter(self.refused.items()))
        return f"{text}{least}; of {length} samples it says: {said}"


def accepted_lengths(run: Callable[[int], object], around: int) -> LengthsAccepted:
    """Try lengths from 1 on and around a usual one.

    Args:
        run: Runs the model at a length in samples; raises where it does not take it.
        around: The usual length.
    """
    refused: dict[int, str] = {}
    taken: dict[int, bool] = {}

    def takes(length: int) -> bool:
        if length not in taken:
            complaint = complaint_of(lambda: run(length))
            taken[length] = complaint is None
            if complaint is not None:
                refused[length] = complaint
        return taken[length]

    short = [length for length in range(1, SHORTEST_TRIED + 1) if takes(length)]
    near = [around + shift for shift in (-3, -2, -1, 1, 2, 3) if around + shift > 0]
    if takes(around) and all(takes(length) for length in near):
        multiple = 1
    elif not takes(around):
        multiple = _common([*short, *[length for length in near if takes(length)]])
    else:
        steps = (step for step in range(2, around + 1) if around % step == 0)
        multiple = next((step for step in steps if takes(around + step)), around)
    smallest = around
    if multiple:
        fitting = (length for length in range(multiple, around, multiple))
        tried = (length for number, length in enumerate(fitting) if number < 4 * SHORTEST_TRIED)
        smallest = next((length for length in tried if takes(length)), around)
    return LengthsAccepted(multiple, smallest, dict(sorted(refused.items())), around)


def complaint_of(run: Callable[[], object]) -> str | None:
    """Return the first line of what a run is refused with; None if it is not."""
    try:
        run()
    except REFUSALS as error:
        return (str(error).strip().splitlines() or [type(error).__name__])[0]
    return None


def _common(lengths: list[int]) -> int:
    """Return the smallest distance of two lengths that were taken; of one, itself; of none, 0."""
    if len(lengths) < 2:
        return lengths[0] if lengths else 0
    return min(b - a for a, b in pairwise(lengths))
