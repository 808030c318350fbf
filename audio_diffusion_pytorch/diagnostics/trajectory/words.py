"""Decibels and shares as the checks compute and say them."""

from __future__ import annotations

import math


def decibels(value: float, wanted: float, factor: float = 20.0) -> float:
    """Return how far a value is over the wanted one in dB; infinity if it is not finite.

    Args:
        value: At least 0; nothing counts as smaller than 1e-10.
        wanted: Likewise.
        factor: 20 of amplitudes, 10 of powers.
    """
    if not math.isfinite(value):
        return math.inf
    tiny = 1e-10
    return factor * math.log10(max(value, tiny) / max(wanted, tiny))


def figure(value: float) -> float | str:
    """Return a number as a report keeps it: what is none, in words."""
    return value if math.isfinite(value) else "no number"


def spoken(decibels: float) -> str:
    """Return decibels in words, with their sign."""
    return f"{decibels:+.1f} dB"


def percent(share: float) -> str:
    """Return a share 0..1 as a percentage in up to three digits."""
    return f"{100 * share:.3g} %"
