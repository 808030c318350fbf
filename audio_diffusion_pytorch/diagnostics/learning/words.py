"""How the checks of learning say numbers and names."""

from __future__ import annotations

import math
from collections.abc import Sequence


def number(value: float) -> str:
    """Return a number in up to three digits: 0.002, 12.5, 3e+06; "no number" for nan."""
    if math.isnan(value):
        return "no number"
    return "infinity" if math.isinf(value) else f"{value:.3g}"


def some(names: Sequence[str], shown: int = 3) -> str:
    """Return up to `shown` names, and how many more there are.

    >>> some(["a", "b", "c", "d"])
    'a, b, c and 1 more'
    """
    more = f" and {len(names) - shown} more" if len(names) > shown else ""
    return ", ".join(names[:shown]) + more


def plural(count: int, name: str) -> str:
    """Return a count with its noun: "1 clip", "2 clips"."""
    return f"{count} {name}" if count == 1 else f"{count} {name}s"


def level_range(decibels: Sequence[float]) -> str:
    """Return noise levels in words: "0 dB", "-20 dB to -5 dB"."""
    low, high = min(decibels), max(decibels)
    return f"{low:g} dB" if low == high else f"{low:g} dB to {high:g} dB"
