"""How strongly each pitch is present in a sound: power at its partials against power between them.

Everything happens on a logarithmic frequency axis, where the partials of every pitch stand at the
same distances, so that one short filter (a comb) scores all pitches at once.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from audio_diffusion_pytorch.ops.stft import mean_power_spectrum

NUM_PARTIALS = 20
PARTIAL_DECAY = 0.4  # partial h counts h ** -0.4: upper partials say less about the pitch
# Inharmonicity B of strings, from none to that of a short treble string.
STRETCHES = (0.0, 5e-5, 1e-4, 2e-4, 4e-4, 8e-4, 1.6e-3)
# This and BETWEEN were chosen on the embedded piano notes together with synthetic tones.
OVERTAKE = 0.8  # 0.5 favours pitches with many partials under Nyquist, 1 those with few
# Where power speaks against a pitch, as parts of the way to the next partial, and how much: a guess
# 2, 3 or 5 times too high finds the true partials there.
BETWEEN = ((1 / 2, 0.3), (1 / 3, 0.2), (2 / 3, 0.2), (2 / 5, 0.15), (3 / 5, 0.15))
COMPRESSION = 0.25  # power ** 0.25, so that the loudest partial does not decide alone
PERIODS_A_FRAME = 7.0  # periods of the lowest pitch in one frame: its partials stand clearly apart


class LogSpectrum(NamedTuple):
    """Power around each point of a logarithmic frequency axis.

    `power` (b, k); `frequency` (k,) in Hz; `cents` between neighbouring points.
    """

    power: Tensor
    frequency: Tensor
    cents: float


class Salience(NamedTuple):
    """Scores (b, s, p) of p pitches, `frequency` (p,) in Hz, under s inharmonicities."""

    score: Tensor
    frequency: Tensor


def pitch_spectrum(audio: Tensor, sample_rate: int, low: float) -> tuple[Tensor, float]:
    """Mean power spectrum `(b, k)` of `(b, t)`, fine enough for `low` Hz, and its Hz a bin."""
    size = 2 * math.ceil(PERIODS_A_FRAME * sample_rate / low / 2)
    bins = 1 << math.ceil(math.log2(2 * size))
    return mean_power_spectrum(audio, size, size // 4, bins), sample_rate / bins


def band_power(density: Tensor, width: float, start: Tensor, end: Tensor) -> Tensor:
    """Power `(b, p)` of `density` (b, k), bins of `width` Hz, from `start` to `end` Hz (p,)."""
    running = torch.nn.functional.pad(density.double().cumsum(-1), (1, 0))
    ends = [(edge / width + 0.5).expand(density.shape[0], -1) for edge in (start, end)]
    power = _read(running, ends[1]) - _read(running, ends[0])
    return power.clamp(min=0).to(density.dtype)


def log_power_spectrum(
    density: Tensor, width: float, low: float, *, cents: float = 5.0, half_width: float = 10.0
) -> LogSpectrum:
    """Power in a narrow band around each of the frequencies from `low / 4` to Nyquist.

    The band reaches `half_width` cents to each side, and at least an eighth of a partial's main
    lobe, so that a partial counts the same whether it is high or low.

    Args:
        density: `(b, k)` from `pitch_spectrum`.
        width: Hz a bin.
        low: Lowest pitch of interest in Hz.
        cents: Distance of neighbouring points on the axis.
        half_width: Half the width of a band in cents.
    """
    top = 0.98 * width * (density.shape[-1] - 1)
    points = int(1200 * math.log2(top / (low / 4)) / cents)
    steps = torch.arange(points, dtype=density.dtype, device=density.device)
    frequency = (low / 4) * 2 ** (steps * (cents / 1200))
    reach = (frequency * (2 ** (half_width / 1200) - 1)).clamp(min=0.5 * low / PERIODS_A_FRAME)
    power = band_power(density, width, frequency - reach, frequency + reach)
    return LogSpectrum(power, frequency, cents)


def harmonic_salience(spectrum: LogSpectrum, low: float, high: float) -> Salience:
    """Score each pitch from `low` to `high` Hz by its partials, under several inharmonicities.

    Partial h of a string stands at `h f sqrt(1 + B h^2)` (Fletcher 1964, "Normal vibration
    frequencies of a stiff piano string"). It counts by the compressed power at its place less that
    between it and its neighbours (`BETWEEN`): a pitch an octave or a twelfth above the true one has
    power there, one below it lacks power at its partials. In the spirit of SWIPE (Camacho
    and Harris 2008, "A sawtooth waveform inspired pitch estimator"), with its own weights.

    Scores compare within one sound; its loudest band is 1, so that its level has no influence.
    """
    heard = spectrum.frequency > 0.7 * low  # below stand drift and rumble, no partial
    power = spectrum.power * heard
    peak = power.amax(-1, keepdim=True).clamp(min=torch.finfo(power.dtype).tiny)
    strength = (power / peak) ** COMPRESSION
    per_octave = 1200 / spectrum.cents
    combs, teeth = _combs(per_octave, strength)
    above = combs.shape[-1] - 1 - round(2 * per_octave)
    padded = torch.nn.functional.pad(strength, (0, above))[:, None]
    inside = torch.nn.functional.pad(torch.ones_like(strength[:1]), (0, above))[:, None]
    score = torch.nn.functional.conv1d(padded, combs[:, None])
    room = torch.nn.functional.conv1d(inside, teeth[:, None])
    score = score / room.clamp(min=1e-6) ** OVERTAKE
    origin = round(2 * per_octave)
    count = int(math.log2(high / low) * per_octave) + 1
    return Salience(score[..., :count], spectrum.frequency[origin : origin + count])


def stretched(partial: float, stretch: float) -> float:
    """Multiple of the pitch at which partial h stands: `h sqrt(1 + B h^2)`; h may be a fraction."""
    return partial * math.sqrt(1 + stretch * partial**2)


def _combs(per_octave: float, like: Tensor) -> tuple[Tensor, Tensor]:
    """Filters `(s, taps)` that score pitches, and their partials alone; tap 0: 2 octaves down."""
    length = (
        math.ceil(per_octave * (2 + math.log2(stretched(NUM_PARTIALS + 1, max(STRETCHES))))) + 2
    )
    combs = torch.zeros(len(STRETCHES), length, dtype=torch.float64)
    teeth = torch.zeros_like(combs)
    for row, stretch in enumerate(STRETCHES):
        for partial in range(1, NUM_PARTIALS + 1):
            weight = partial**-PARTIAL_DECAY
            _add_tap(teeth[row], per_octave, stretched(partial, stretch), weight)
            for away, share in BETWEEN:
                for side in (-away, away):
                    ratio = stretched(partial + side, stretch)
                    _add_tap(combs[row], per_octave, ratio, -weight * share / 2)
    combs += teeth
    return combs.to(like), teeth.to(like)


def _add_tap(comb: Tensor, per_octave: float, ratio: float, weight: float) -> None:
    """Add `weight` at a frequency ratio, shared between the two nearest taps."""
    place = per_octave * (2 + math.log2(ratio))
    below = math.floor(place)
    comb[below] += weight * (below + 1 - place)
    comb[below + 1] += weight * (place - below)


def _read(running: Tensor, place: Tensor) -> Tensor:
    """Read a running sum `(b, k)` at fractional places `(b, p)`, on lines between its points."""
    place = place.clamp(0, running.shape[-1] - 1)
    below = place.floor().long().clamp(max=running.shape[-1] - 2)
    low, high = running.gather(-1, below), running.gather(-1, below + 1)
    return low + (high - low) * (place - below)
