"""How one state of a sampler follows from the one before: the noise level that it truly has."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from .recording import NetCall, Trajectory

FAR = 60.0
"""dB: signal over noise, or under it, is held to this."""


def true_decibels(before: NetCall, after: NetCall) -> float | None:
    """Return how far signal stands over noise in a state, in dB, by how the sampler made it.

    A sampler makes its next state from what the network said: `a guess + b noise`, with the guess
    of the clean signal and the noise that goes with it. The two gains are found by least squares;
    what they leave (fresh noise of a stochastic sampler, a bend of a higher-order solver) counts as
    noise of its own: with variance `l` it makes `sqrt(b^2 + l)` of `b`. Whatever the network has
    learnt, `a / b` must be `alpha / sigma` of the level that it is told next. Exact for Euler and
    for samplers that add fresh noise to a first-order step, close for the rest.

    Args:
        before: The call of the network before.
        after: The call whose state is looked at.

    Returns:
        At most 60, at least -60; None if the two have different shapes or nothing can be solved.
    """
    if before.state.shape != after.state.shape:
        return None
    parts = [before.guess, before.noise]
    if before.guided_by is not None:  # the guess in use lies on a line through both guesses
        parts.append(before.guided_by)
    columns = torch.stack([part.double().flatten() for part in parts], 1)
    sizes = columns.square().mean(0).sqrt()
    if not bool(sizes.isfinite().all()) or not bool(after.state.isfinite().all()):
        return None
    columns, sizes = columns[:, sizes > 0], sizes[sizes > 0]
    wanted = after.state.double().flatten()
    gains = _least_squares(columns / sizes, wanted) / sizes
    left = (wanted - columns @ gains).square().mean()
    if before.guess.abs().max() == 0:
        return -FAR
    signal = gains[0].clamp_min(0.0)
    kept = gains[1].square() if len(gains) > 1 else torch.zeros_like(left)
    spread = (kept + left).sqrt()
    return _decibels(float(signal), float(spread))


def told_and_true(trajectory: Trajectory) -> list[tuple[float, float]]:
    """Return for every call but the first the level told and the true one, both in dB.

    Pairs of calls that cannot be compared (another number of items) are left out.
    """
    pairs = zip(trajectory.calls, trajectory.calls[1:], strict=False)
    found = [(after.decibels, true_decibels(before, after)) for before, after in pairs]
    return [(told, true) for told, true in found if true is not None]


def _least_squares(columns: Tensor, wanted: Tensor) -> Tensor:
    square = columns.T @ columns / len(wanted)
    ridge = 1e-12 * torch.eye(len(square), dtype=square.dtype, device=square.device)
    gains: Tensor = torch.linalg.solve(square + ridge, columns.T @ wanted / len(wanted))
    return gains


def _decibels(signal: float, noise: float) -> float:
    if signal <= 0:
        return -FAR
    if noise <= 0:
        return FAR
    return min(FAR, max(-FAR, 20 * math.log10(signal / noise)))
