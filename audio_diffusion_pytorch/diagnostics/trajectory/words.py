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


def beside(value: float, bound: float, digits: int = 1, sign: bool = False) -> tuple[str, str]:
    """Return a value and its bound with so many decimals, or as many more as tell them apart.

    >>> beside(15.02, 15.0)
    ('15.02', '15.00')
    """
    for more in range(digits, digits + 3):
        said, limit = f"{value:.{more}f}", f"{bound:.{more}f}"
        if said.lstrip("-") != limit.lstrip("-") or value == bound:
            break
    return (f"{value:+.{more}f}" if sign else said), limit


def loudness_remedy(scaled: bool, guided: bool) -> str:
    """Return what to do where sounds come out too loud or too quiet, as far as it applies.

    Args:
        scaled: Whether a normaliser stands between the sounds and the diffusion.
        guided: Whether they are sampled with guidance.

    >>> loudness_remedy(scaled=False, guided=True)
    'train longer first, lower the guidance scale'
    """
    steps = ["train longer first"]
    if scaled:
        steps.append("fit the normalizer on the training clips (model.fit_normalizer)")
    if guided:
        steps.append("lower the guidance scale")
    return ", ".join(steps)
