"""Running means that remember a fixed share of the run, and how some of them make up any other.

A power-function mean of power p weighs the weights of time s in 0..t by `s^p`. Its length is the
standard deviation of that profile as a share of the run: 0.1 of a run of 1000 steps remembers some
100 steps. All profiles grow with the run alike, so saved ones fit one another by least squares.

Source of this file: Karras et al. 2024, "Analyzing and improving the training dynamics of diffusion
models", arXiv 2312.02696, section 3 and appendix C; the equation numbers below are of that paper.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

LONGEST = 1 / math.sqrt(12)  # of power 0: the plain mean of the whole run


def length_of(power: float) -> float:
    """Return the relative length of a power: `sqrt(p + 1) / ((p + 2) sqrt(p + 3))` (eq. 123)."""
    return math.sqrt(power + 1) / ((power + 2) * math.sqrt(power + 3))


def power_of(length: float) -> float:
    """Return the power of a relative length, the inverse of `length_of`.

    Raises:
        ValueError: The length is not in 0..0.288.

    >>> round(power_of(0.1), 2)
    6.94
    """
    if not 0.0 < length <= LONGEST:
        raise ValueError(
            f"the length of an average must be a share of the run, above 0 and at most "
            f"{LONGEST:.3f} (the mean of all), got {length}"
        )
    low, high = 0.0, 1 / length**2
    for _ in range(200):  # halving the interval down to the last digit
        middle = (low + high) / 2
        low, high = (middle, high) if length_of(middle) > length else (low, middle)
    return (low + high) / 2


@dataclass(frozen=True)
class PowerFunction:
    """The decay of a power-function mean: `(1 - 1 / t) ** (p + 1)` in the t-th update (eq. 127).

    The share of update s in the mean is then exactly the area of the profile between s - 1 and s.

    Args:
        length: Standard deviation of the profile as a share of the run, above 0, at most 0.288.

    Raises:
        ValueError: The length is out of range.

    >>> round(PowerFunction(0.1)(99), 3)  # the 100th update
    0.923
    """

    length: float

    def __post_init__(self) -> None:
        """Refuse a length that no power has."""
        power_of(self.length)

    def __call__(self, updates: int) -> float:
        """The decay, 0..1, of the update that follows `updates` earlier ones."""
        decay: float = (updates / (updates + 1)) ** (power_of(self.length) + 1)
        return decay


class Mixture(NamedTuple):
    """What makes up a wanted profile: `shares` (n,) of the saved ones, float64, which sum to 1.

    `error` is the distance of the mixed profile from the wanted one, relative to its own size.
    """

    shares: Tensor
    error: float


def mix_profiles(
    updates: list[int], lengths: list[float], wanted_updates: int, wanted_length: float
) -> Mixture:
    """Return the shares of saved means whose sum comes nearest to the wanted mean.

    Least squares on the profiles (algorithm 3), under the condition that the shares sum to 1:
    weights that did not move come out as they are, however few means there are.

    Args:
        updates: When each was saved, in updates since its beginning, above 0.
        lengths: Its relative length.
        wanted_updates: The time of the wanted mean.
        wanted_length: Its relative length.

    Raises:
        ValueError: There is none saved, or a length is out of range.
    """
    if not updates:
        raise ValueError("mixing profiles needs at least one saved mean, got none")
    times = torch.tensor([*updates, wanted_updates], dtype=torch.float64)
    powers = torch.tensor(
        [power_of(length) for length in (*lengths, wanted_length)], dtype=torch.float64
    )
    products = _inner_products(times, powers)
    size = products.diagonal().sqrt()
    products = products / (size[:, None] * size)
    gram, target = products[:-1, :-1], products[:-1, -1]
    n, sums = len(updates), 1 / size[:-1]  # the profiles were scaled to size 1
    system = torch.zeros(n + 1, n + 1, dtype=torch.float64)
    system[:n, :n], system[:n, n], system[n, :n] = gram, sums, sums
    right = torch.cat([target, 1 / size[-1:]])
    solution = torch.linalg.lstsq(system, right[:, None], driver="gelsd").solution[:n, 0]
    squared = 1 + solution @ (gram @ solution) - 2 * solution @ target
    return Mixture(solution * size[-1] / size[:-1], math.sqrt(max(0.0, float(squared))))


def _inner_products(times: Tensor, powers: Tensor) -> Tensor:
    """The integrals of products of profiles `(n, n)` (eq. 151).

    With `(p + 1) s^p / t^(p + 1)` on 0..t the integral over the common part 0..t of two profiles,
    the first ending at t, the second at `T >= t`, is
    `(p + 1) (q + 1) / (p + q + 1) (t / T)^q / T`.
    """
    first, second = times[:, None], times[None]
    p, q = powers[:, None], powers[None]
    later = torch.maximum(first, second)
    ratio = torch.minimum(first, second) / later
    exponent = torch.where(first < second, q, p)
    return (p + 1) * (q + 1) / (p + q + 1) * ratio**exponent / later
