"""How one state of a sampler follows from the one before: the noise level that it truly has."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor

from .recording import FAR, NetCall, Trajectory

LEVEL_WINDOW = 15.0
"""dB: levels are told apart between this much noise over signal and this much signal over noise;
further out a network does nearly nothing."""
INDEPENDENT = 100
"""What a step leaves unexplained counts as so many independent values: fresh noise has more, the
bend of a higher-order solver is one thing of its own."""


class TrueLevel(NamedTuple):
    """Signal over noise of a state in dB: the likeliest value, and the range that cannot be ruled
    out."""

    likeliest: float
    low: float
    high: float

    def nearest(self, told: float) -> float:
        """Return the possible level that is nearest to the one told."""
        return min(max(told, self.low), self.high)


def true_level(before: NetCall, after: NetCall) -> TrueLevel | None:
    """Return how far signal stands over noise in a state, by how the sampler made it.

    A sampler makes its next state from what the network said: `a guess + b noise`, with the guess
    of the clean signal and the noise that goes with it. The two gains are found by least squares;
    what they leave (fresh noise of a stochastic sampler, a bend of a higher-order solver) counts as
    noise of its own: with variance `l` it makes `sqrt(b^2 + l)` of `b`. Whatever the network has
    learnt, `a / b` must be `alpha / sigma` of the level that it is told next. Exact for Euler and
    for samplers that add fresh noise to a first-order step, close for the rest. A network that only
    scales its input says a guess and a noise that are alike, and nothing can be ruled out.

    Args:
        before: The call of the network before.
        after: The call whose state is looked at.

    Returns:
        Levels of at most 60, at least -60 dB; None if the two have different shapes or are no
        numbers.
    """
    if before.state.shape != after.state.shape:
        return None
    parts = [before.guess, before.noise]
    if before.guided_by is not None:  # the guess in use lies on a line through both guesses
        parts.append(before.guided_by)
    columns = torch.stack([part.double().flatten() for part in parts], 1)
    wanted = after.state.double().flatten()
    if not bool(columns.isfinite().all()) or not bool(wanted.isfinite().all()):
        return None
    gains, unsure, left = _least_squares(columns, wanted, max(before.precision, after.precision))
    (signal, kept), (signal_off, kept_off) = gains[:2], unsure[:2]

    def level(sign: int) -> float:
        most = max(0.0, signal + 2 * sign * signal_off)
        least = max(0.0, abs(kept) - 2 * sign * kept_off)
        return _decibels(most, math.sqrt(least**2 + left))

    return TrueLevel(level(0), level(-1), level(1))


def told_and_true(trajectory: Trajectory) -> list[tuple[float, float]]:
    """Return for every call the level told and the true one, in dB.

    Each step says how far the state after it is from the level told next if the state before it was
    at the level told there. So these angles `atan(sigma / alpha)` add up: from the first call,
    whose state is start noise and stands for the noisiest level trained. Of the levels that cannot
    be ruled out the one nearest to what was told is taken, and a pair of calls that cannot be
    compared (another number of items) adds nothing.
    """
    calls = trajectory.calls
    told = calls[0].decibels
    off = _angle(windowed(noisiest(trajectory))) - _angle(windowed(told))
    found = [(told, _level(_angle(told) + off))]
    for before, after in pairwise(calls):
        told, made = after.decibels, true_level(before, after)
        off += 0.0 if made is None else _angle(made.nearest(told)) - _angle(told)
        found.append((told, _level(_angle(told) + off)))
    return found


def noisiest(trajectory: Trajectory) -> float:
    """Return signal over noise in dB at the noisiest level trained, at least -60."""
    log_snr = trajectory.diffusion.schedule.log_snr(torch.ones((), dtype=torch.float64))
    return min(FAR, max(-FAR, float(log_snr) * 10 / math.log(10)))


def windowed(decibels: float) -> float:
    """Return a level, held within those at which a network does much."""
    return min(LEVEL_WINDOW, max(-LEVEL_WINDOW, decibels))


def _least_squares(
    columns: Tensor, wanted: Tensor, precision: float
) -> tuple[list[float], list[float], float]:
    """Return the gains of columns, their standard errors, and the variance left."""
    sizes = columns.square().mean(0).sqrt().clamp_min(torch.finfo(columns.dtype).tiny)
    columns = columns / sizes
    power, turn = torch.linalg.eigh(columns.T @ columns / len(wanted))
    power = power.clamp_min(torch.finfo(columns.dtype).eps)
    gains = turn @ ((turn.T @ (columns.T @ wanted / len(wanted))) / power)
    left = (wanted - columns @ gains).square().mean()
    doubt = left / INDEPENDENT + precision**2 * (wanted.square().mean() + gains.square().sum())
    unsure = (doubt * (turn.square() / power).sum(1)).sqrt()
    return (gains / sizes).tolist(), (unsure / sizes).tolist(), float(left)


def _angle(decibels: float) -> float:
    return math.atan(10 ** (-decibels / 20))


def _level(angle: float) -> float:
    angle = min(max(angle, 0.0), math.pi / 2)
    return _decibels(math.cos(angle), math.sin(angle))


def _decibels(signal: float, noise: float) -> float:
    if signal <= 0:
        return -FAR
    if noise <= 0:
        return FAR
    return min(FAR, max(-FAR, 20 * math.log10(signal / noise)))
