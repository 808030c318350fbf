"""Linear prediction: a sound that goes on, or fills a gap, as its resonances would by themselves.

Each sample is taken for a weighted sum of the `order` samples before it: what a plucked or struck
string does. It has no idea of anything new, so it is hard to beat over a short gap in a steady
tone, and fades or drones over a long one.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def prediction_weights(parts: Sequence[Tensor], order: int) -> Tensor:
    """Return weights `(order,)` that predict a sample from those before it, the nearest first.

    The filter is stable for any sound: what goes on by it dies away or keeps its level.

    Args:
        parts: Stretches `(t,)` of one sound, fitted together.
        order: Weights; at most one less than the samples of the longest part.

    Raises:
        ValueError: If the order is below 1 or too high.

    Source: Burg 1975, "Maximum entropy spectral analysis", PhD thesis, Stanford.
    """
    longest = max((part.shape[-1] for part in parts), default=0)
    if not 1 <= order < longest:
        raise ValueError(f"order must be 1..{longest - 1} for so short a sound, got {order}")
    forward = [part.double() for part in parts]
    backward = list(forward)
    weights = torch.ones(1, dtype=torch.float64)  # of the prediction's error, from now backwards
    for _ in range(order):
        forward = [error[1:] for error in forward]
        backward = [error[:-1] for error in backward]
        both = list(zip(forward, backward, strict=True))
        power = sum(float(f @ f + b @ b) for f, b in both)
        reflection = -2 * sum(float(f @ b) for f, b in both) / power if power > 0 else 0.0
        weights = torch.cat([weights, weights.new_zeros(1)])
        weights = weights + reflection * weights.flip(0)
        forward = [f + reflection * b for f, b in both]
        backward = [b + reflection * f for f, b in both]
    return -weights[1:]


def go_on(sound: Tensor, length: int, order: int = 1024) -> Tensor:
    """Return what follows a sound by linear prediction.

    Args:
        sound: `(..., t)`.
        length: Samples to add.
        order: Samples that each is predicted from; fewer for a sound of less than twice as many.

    Returns:
        `(..., length)`.
    """
    rows = sound.reshape(sound.shape[:-1].numel(), sound.shape[-1])
    made = torch.stack([_go_on(row, length, order) for row in rows])
    return made.reshape(*sound.shape[:-1], length).to(sound)


def _go_on(sound: Tensor, length: int, order: int) -> Tensor:
    order = min(order, sound.shape[-1] // 2)
    if order < 1:
        return sound.new_zeros(length).double()
    weights = prediction_weights([sound], order).flip(0)
    known = sound.shape[-1]
    whole = torch.cat([sound.double(), torch.zeros(length, dtype=torch.float64)])
    for place in range(known, known + length):
        whole[place] = weights @ whole[place - order : place]
    return whole[known:]


def fill_from_both_sides(sound: Tensor, start: int, end: int, order: int = 1024) -> Tensor:
    """Return a sound `(..., t)` with the samples `start..end` predicted from either side and mixed.

    From one side alone, where there is no other.

    Source: Kauppinen and Roth 2002, "Audio signal extrapolation: theory and applications", DAFx.
    """
    gap = end - start
    weight = torch.cos(torch.pi / 2 * (torch.arange(gap) + 0.5) / gap).square().to(sound)
    if start == 0 or end == sound.shape[-1]:
        weight = torch.full_like(weight, float(start > 0))
    after = go_on(sound[..., :start], gap, order)
    before = go_on(sound[..., end:].flip(-1), gap, order).flip(-1)
    filled = sound.clone()
    filled[..., start:end] = weight * after + (1 - weight) * before
    return filled


def fill_least_squares(
    sound: Tensor, start: int, end: int, order: int = 512, rounds: int = 1
) -> Tensor:
    """Return a sound `(..., t)` with the samples `start..end` that predict and are predicted best.

    They make the sum of all squared prediction errors least: exact for a sum of few sines. Weights
    come from both sides in the first round, from the filled sound in later ones.

    Source: Janssen, Veldhuis and Vries 1986, "Adaptive interpolation of discrete-time signals that
    can be modeled as autoregressive processes", IEEE Trans. ASSP 34(2).
    """
    rows = sound.reshape(sound.shape[:-1].numel(), sound.shape[-1])
    filled = torch.stack([_fill(row.double(), start, end, order, rounds) for row in rows])
    return filled.reshape(sound.shape).to(sound)


def _fill(sound: Tensor, start: int, end: int, order: int, rounds: int) -> Tensor:
    filled = sound.clone()
    filled[start:end] = 0
    parts: list[Tensor] = [sound[:start], sound[end:]]
    order = min(order, max(len(part) for part in parts) // 2)
    for _ in range(rounds if order >= 1 else 0):
        error = torch.cat([torch.ones(1).double(), -prediction_weights(parts, order)])
        spectrum = torch.fft.rfft(error, 2 * len(error))
        matching = torch.fft.irfft(spectrum.abs().square(), 2 * len(error))[: len(error)]
        known = filled.clone()
        known[start:end] = 0
        kernel = torch.cat([matching.flip(0), matching[1:]])
        seen = torch.nn.functional.conv1d(
            torch.nn.functional.pad(known, (order, order))[None, None], kernel[None, None]
        )[0, 0, start:end]
        filled[start:end] = solve_banded(matching, -seen)
        parts = [filled]
    return filled


def solve_banded(matching: Tensor, right: Tensor) -> Tensor:
    """Return x `(n,)` of `sum over j of matching[|i - j|] x[j] = right[i]`, in blocks of the band.

    Args:
        matching: `(band,)`, float64, of a positive definite matrix that is zero beyond the band.
        right: `(n,)`.
    """
    size = max(1, len(matching) - 1)
    place = torch.arange(size)
    padded = torch.cat([matching, matching.new_zeros(size)])
    own = padded[(place[:, None] - place).abs()]
    own = own + 1e-13 * matching[0] * torch.eye(size, dtype=own.dtype)
    beside = padded[(place[:, None] + size - place).abs()]  # rows of one block, columns of the last
    pieces = [*right.split(size)]
    roots, answers = [], []
    for piece in pieces:  # down: a Cholesky factor whose only other blocks are beside the diagonal
        here = len(piece)
        block = own[:here, :here]
        if roots:
            step = torch.linalg.solve_triangular(roots[-1], beside[:here].T, upper=False)
            block = block - step.T @ step
            piece = piece - step.T @ answers[-1]
        root = torch.linalg.cholesky(block)
        roots.append(root)
        answers.append(torch.linalg.solve_triangular(root, piece[:, None], upper=False)[:, 0])
    found: list[Tensor] = []
    for root, answer in zip(reversed(roots), reversed(answers), strict=True):  # and up again
        if found:
            step = torch.linalg.solve_triangular(root, beside[: len(found[-1])].T, upper=False)
            answer = answer - step @ found[-1]
        found.append(torch.linalg.solve_triangular(root.T, answer[:, None], upper=True)[:, 0])
    return torch.cat(found[::-1])
