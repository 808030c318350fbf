"""The arithmetic floor: the time that nothing but the products of a network would take.

Its operations over the rate at which this machine does the like in the format of the row, bf16 for
the bf16 rows: large products of matrices or large convolutions, whichever run faster (they come
from different libraries; on some CPUs one is twice as fast). What a row takes above its floor is
memory traffic, copies, calls, and products slower than those.
"""

from __future__ import annotations

from typing import NamedTuple


class Floor(NamedTuple):
    """Work, and the rates by format, "fp32" and "bf16"."""

    flops: float
    rates: dict[str, float]  # operations a second

    def seconds(self, precision: str) -> float:
        """Return the floor of a row; "autocast" multiplies in bf16 as "bf16" does."""
        return self.flops / self.rates["fp32" if precision == "fp32" else "bf16"]

    def times(self, seconds: float, precision: str) -> float:
        """Return how many times the floor a row takes."""
        return seconds / self.seconds(precision)

    def above(self, seconds: float, precision: str) -> float:
        """Return the seconds above the floor; below 0 where convolutions outrun products."""
        return seconds - self.seconds(precision)

    def share(self, seconds: float, precision: str, reference: float) -> float | None:
        """Return the time above the floor over that of a reference in fp32, None without any."""
        other = self.above(reference, "fp32")
        return self.above(seconds, precision) / other if other > 0 else None


def text_of_seconds(seconds: float) -> str:
    """Return a time with three figures or so."""
    if seconds >= 1.0:
        return f"{seconds:.2f} s"
    return f"{1e3 * seconds:.1f} ms" if seconds >= 1e-3 else f"{1e6 * seconds:.0f} us"


def text_of_flops(flops: float, unit: str = "FLOP") -> str:
    """Return operations, or operations a second, with a prefix."""
    for scale, prefix in ((1e12, "T"), (1e9, "G")):
        if flops >= scale:
            return f"{flops / scale:.1f} {prefix}{unit}"
    return f"{flops / 1e6:.1f} M{unit}"
