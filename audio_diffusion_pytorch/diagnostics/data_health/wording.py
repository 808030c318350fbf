"""Numbers and names as the checks of the data say them."""

from __future__ import annotations

from collections.abc import Collection, Iterable

import torch


def out_of(part: int, whole: int, noun: str) -> str:
    """A count of a count.

    >>> out_of(1, 3, "file")
    '1 of 3 files'
    """
    return f"{part} of {counted(whole, noun)}"


def counted(count: int, noun: str) -> str:
    """A count with its noun.

    >>> counted(1, "clip")
    '1 clip'
    """
    return f"{count} {noun}{'s' if count != 1 else ''}"


def percent(value: float) -> str:
    """A share in 0..1 in percent, small ones with a decimal.

    >>> percent(0.0123), percent(0.5)
    ('1.2 %', '50 %')
    """
    return f"{100 * value:.1f} %" if 0 < value < 0.0995 else f"{100 * value:.0f} %"


def number(value: float) -> str:
    """A number in three digits, without powers of ten for large ones.

    >>> number(1623.4), number(0.5)
    ('1623', '0.5')
    """
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def naming(names: Collection[str], limit: int = 2) -> str:
    """The first few of many names, each once, in brackets; nothing for none.

    >>> naming(["a.wav", "b.wav", "c.wav"])
    ' (a.wav, b.wav, ...)'
    """
    once = list(dict.fromkeys(names))
    if not once:
        return ""
    return f" ({', '.join(once[:limit])}{', ...' if len(once) > limit else ''})"


def quantile(values: Iterable[float], share: float) -> float:
    """The value under which a share of the values lies; of none, NaN."""
    listed = torch.tensor(list(values), dtype=torch.float64)
    return float(listed.quantile(share)) if len(listed) else float("nan")
