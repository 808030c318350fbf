"""What multistep solvers share: the polynomial through remembered guesses, integrated exactly.

The guess is extended over a step by the polynomial through its last values, in lambda (or in
`sigma / alpha`), whatever the spacing; the kernel of the step times its powers have closed forms.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import factorial
from typing import NamedTuple

import torch
from torch import Tensor

from .exponential import Levels, log_snr_rise


def phi(count: int, z: Tensor) -> list[Tensor]:
    """Return `phi_1(z) .. phi_count(z)`.

    `phi_k(z) = int_0^1 e^((1 - u) z) u^(k - 1) / (k - 1)! du`, which obeys
    `phi_k = 1 / k! + z phi_(k + 1)`: solved upwards from `phi_1 = (e^z - 1) / z`, and downwards
    from the power series `sum_n z^n / (n + count)!` where `|z| < 1` and the way up would cancel.

    Source: Hochbruck and Ostermann 2010, "Exponential integrators", section 2.1.
    """
    small = z.abs() < 1
    near, far = torch.where(small, z, 0), torch.where(small, 1, z)
    up = [torch.expm1(far) / far]
    for k in range(1, count):
        up.append((up[-1] - 1 / factorial(k)) / far)
    series = torch.zeros_like(z)
    for n in range(18, -1, -1):
        series = series * near + 1 / factorial(n + count)
    down = [series]
    for k in range(count - 1, 0, -1):
        down.append(down[-1] * near + 1 / factorial(k))
    return [torch.where(small, a, b) for a, b in zip(reversed(down), up, strict=True)]


def moments(count: int, width: Tensor) -> list[Tensor]:
    """Return `int_0^1 h e^(-h (1 - u)) u^j du` for j = 1 .. count.

    It is what a guess `u^j` adds to `x' / alpha'`: `h j! phi_(j + 1)(-h)`. The one of j = 0,
    `1 - e^(-h)`, is in the first-order step.
    """
    values = phi(count + 1, -width)[1:]
    return [width * factorial(j) * value for j, value in enumerate(values, 1)]


class Past(NamedTuple):
    """What a multistep solver remembers of an earlier step, newest first in its memory.

    Attributes:
        value: The guess of the clean signal (or of the noise) `(b, c, *t)`.
        alpha: Signal gain there, lifted.
        sigma: Noise gain there, lifted.
    """

    value: Tensor
    alpha: Tensor
    sigma: Tensor


class Nodes(NamedTuple):
    """Places of remembered guesses in units of the step: 0 is its start, 1 its end.

    Attributes:
        places: Newest first, all below 0.
        usable: Where each may be used: the step is inner, and this point and all newer ones stand
            at finite, growing distances.
    """

    places: list[Tensor]
    usable: list[Tensor]


def past_nodes(levels: Levels, past: Sequence[Past], *, in_noise_ratio: bool = False) -> Nodes:
    """Place remembered guesses on the axis of a step.

    Args:
        levels: The step.
        past: Earlier points, newest first.
        in_noise_ratio: Measure in `sigma / alpha` instead of lambda.
    """
    places: list[Tensor] = []
    usable: list[Tensor] = []
    newer, so_far = torch.zeros_like(levels.width), levels.inner
    unit = levels.safe_width
    unit = -torch.expm1(-unit) if in_noise_ratio else unit
    limit = torch.finfo(unit.dtype).max ** 0.2  # products of three places and more stay finite
    for point in past:
        gap = log_snr_rise(point.alpha, point.sigma, levels.alpha, levels.sigma)
        place = -(torch.expm1(gap) if in_noise_ratio else gap) / unit
        so_far = so_far & (gap > newer) & (place.abs() < limit)
        places.append(torch.where(so_far, place, -1.0 - len(places)))
        usable.append(so_far)
        newer = gap
    return Nodes(places, usable)


def newton_weights(integrals: Sequence[Tensor], nodes: Nodes) -> list[Tensor]:
    """Return weights `w_k` of `f_k - f_0` that integrate the polynomial through all points.

    The polynomial takes `f_0` at place 0 and `f_k` at the places of `nodes`. Each usable node adds
    one Newton term, so each element has the order that its own history allows.

    Args:
        integrals: `int u^j` over the step under its kernel for j = 1, 2, ..., at least as many as
            there are nodes.
        nodes: The other points.
    """
    weights = [torch.zeros_like(integrals[0]) for _ in nodes.places]
    powers = [torch.ones_like(integrals[0])]  # coefficients of u, u^2, ...: u (u - s_1) (u - s_2)
    for last, (place, usable) in enumerate(zip(nodes.places, nodes.usable, strict=True)):
        integral = sum((c * m for c, m in zip(powers, integrals, strict=False)), start=0.0)
        for i in range(last + 1):
            span = nodes.places[i]
            for j in range(last + 1):
                if j != i:
                    span = span * (nodes.places[i] - nodes.places[j])
            weights[i] = weights[i] + torch.where(usable, integral / span, 0)
        shifted = [torch.zeros_like(place), *powers]
        powers = [
            high - place * low
            for high, low in zip(shifted, [*powers, torch.zeros_like(place)], strict=True)
        ]
    return weights


def weigh(weights: Sequence[Tensor], values: Sequence[Tensor], origin: Tensor) -> Tensor:
    """Return `sum_k w_k (f_k - f_0)`, 0 without points."""
    total = torch.zeros_like(origin, dtype=torch.promote_types(origin.dtype, torch.float32))
    for weight, value in zip(weights, values, strict=True):
        total = total + weight * (value - origin).to(total.dtype)
    return total
