"""Where a waveform was cut off: runs of samples at its very top, entered and left abruptly."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

TOLERANCE = 1e-4  # of the top: three steps of a 16-bit file at full scale
SHORTEST_RUN = 3
# Two samples beside a run of three or more, a smooth maximum (a parabola) has fallen by at most
# ((1 + 2) / 1)^2 = 9 tolerances; so ten can only be the edge of a cut.
FALL = 10.0
SQUARE_SHARE = 0.95  # a wave that knows only its two extremes was not cut off, it is a square wave
QUIETEST_TOP = 1e-3


class FlatTops(NamedTuple):
    """Where a sound was cut off.

    Attributes:
        runs: How many flat tops there are, over all channels.
        share: Of all samples that lie on them, 0..1.
        level: The amplitude it was cut off at; 0 if it was not.
    """

    runs: int
    share: float
    level: float


def flat_tops(audio: Tensor) -> FlatTops:
    """Return the flat tops of a sound `(c, t)`, at full scale or below.

    A flat top is a run of at least 3 samples within 1e-4 (or a rounding step) of the channel's
    extreme, with the waveform well away from there two samples before and after. Sounds that are
    compressed with loss after being cut off do not keep their flat tops.
    """
    runs = samples = 0
    level = 0.0
    for channel in audio:
        step = _rounding_step(channel)
        found = [_tops(sign * channel, step) for sign in (1.0, -1.0)]
        if sum(count for _, count in found) > SQUARE_SHARE * len(channel):
            continue
        runs += sum(number for number, _ in found)
        samples += sum(count for _, count in found)
        for (number, _), top in zip(found, (channel.max(), -channel.min()), strict=True):
            level = max(level, float(top)) if number else level
    return FlatTops(runs, samples / max(1, audio.numel()), level)


def _tops(wave: Tensor, step: float) -> tuple[int, int]:
    """How many runs at the top of a wave `(t,)`, and how many samples in them."""
    top = float(wave.max())
    if top < QUIETEST_TOP:
        return 0, 0
    tolerance = max(TOLERANCE * top, 0.75 * step)
    near = torch.nn.functional.pad((wave >= top - tolerance).int(), (1, 1)).diff()
    first, last = (near == 1).nonzero()[:, 0], (near == -1).nonzero()[:, 0] - 1
    long = (last - first + 1 >= SHORTEST_RUN) & (first >= 2) & (last < len(wave) - 2)
    first, last = first[long], last[long]
    highest = top - FALL * tolerance
    cut = (wave[first - 2] <= highest) & (wave[last + 2] <= highest)
    return int(cut.sum()), int((last - first + 1)[cut].sum())


def _rounding_step(channel: Tensor) -> float:
    """The distance of neighbouring values: large in an 8-bit file, which has natural plateaus."""
    gaps = channel[: 1 << 14].sort().values.diff()
    gaps = gaps[gaps > 1e-7]
    return float(gaps.min()) if len(gaps) else 0.0
