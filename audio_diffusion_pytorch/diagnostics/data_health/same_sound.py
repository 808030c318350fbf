"""Which of many sounds are the same sound, perhaps louder, upside down or shifted."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from .sounds import SoundFacts

# Correlation of what is left of two sounds when all that the recent past foretells is taken out:
# copies keep 0.97 and more (after MP3 0.9), two recordings of one note at most 0.95.
SAME = 0.97
COARSE = 0.75  # of copies half a sample apart
FINENESS = 8
OVERLAP = 0.5  # of the shorter one must coincide
FORETOLD_BY = 24  # samples of the past: 6 ms
ROUNDING = 1e-5  # of the power: what is fainter may be the rounding of a quiet 16-bit copy
BANDS = 32
ALIKE_DB = 4.0  # mean difference of two spectra of which more is looked at
MOST_PAIRS = 600  # compared sample by sample, the most alike first: about 2 ms each


def same_sounds(sounds: Sequence[SoundFacts]) -> list[tuple[int, int]]:
    """Return pairs of indices of sounds that are one: at any gain, polarity or (small) offset.

    Sounds with the same samples are found among any number. Those at another gain or offset are
    found by comparing their 4 kHz mono mixes, if at least half of them coincides. Stretches of one
    file may overlap and are told only if they have the same samples.
    """
    pairs: list[tuple[int, int]] = []
    first: dict[str, int] = {}
    for index, sound in enumerate(sounds):
        if sound.rms > 0:
            kept = first.setdefault(sound.digest, index)
            if kept != index:
                pairs.append((kept, index))
    left = [index for index in first.values() if len(sounds[index].thumbnail) >= 4 * FORETOLD_BY]
    return sorted(pairs + _shifted(sounds, left))


def likeness(first: Tensor, second: Tensor, fineness: int = FINENESS) -> float:
    """How far two sounds `(t,)` are one at some gain, polarity and offset: 0..1, copies near 1.

    What the last samples foretell (the steady tone of a note, which is the same in any recording
    of it) is taken out of both first, by the linear prediction that fits the first best.
    """
    first, second = first - first.mean(), second - second.mean()
    surprise = _surprise_filter(first)
    rest = [F.conv1d(sound[None, None], surprise)[0, 0] for sound in (first, second)]
    return correlation(rest[0], rest[1], fineness)


def correlation(first: Tensor, second: Tensor, fineness: int = 1) -> float:
    """The largest correlation (its magnitude, 0..1) of two sounds `(t,)` over all offsets.

    Offsets at which less than half of the shorter one coincides are left out.

    Args:
        first: A sound.
        second: Another.
        fineness: Offsets tried per sample.
    """
    size = 1 << (len(first) + len(second) - 1).bit_length()
    spectrum = torch.fft.rfft(first, size) * torch.fft.rfft(second, size).conj()
    spectrum = F.pad(spectrum, (0, (fineness - 1) * size // 2))
    products = torch.fft.irfft(spectrum, fineness * size) * fineness
    places = torch.arange(fineness * size)
    lags = torch.where(2 * places < len(places), places, places - len(places)) / fineness
    start = lags.clamp_min(0)
    end = (lags + len(second)).clamp_max(len(first))
    allowed = end - start >= OVERLAP * min(len(first), len(second))
    energies = _energy(first, start, end) * _energy(second, start - lags, end - lags)
    found = products.abs() / energies.clamp_min(1e-30).sqrt()
    return float(found[allowed].max().clamp_max(1.0))


def _surprise_filter(sound: Tensor) -> Tensor:
    """The filter `(1, 1, FORETOLD_BY + 1)` that leaves of a sound what its past does not tell.

    Source: linear prediction by the autocorrelation method (Makhoul 1975, "Linear prediction: a
    tutorial review", equations 3 and 8).
    """
    size = 1 << (2 * len(sound) - 1).bit_length()
    power = torch.fft.rfft(sound.double(), size).abs().square()
    agreement = torch.fft.irfft(power, size)[: FORETOLD_BY + 1]
    places = torch.arange(FORETOLD_BY)
    matrix = agreement[(places[:, None] - places).abs()]
    matrix = matrix + torch.eye(FORETOLD_BY) * (agreement[0] * ROUNDING + 1e-30)
    weights = torch.linalg.solve(matrix, agreement[1:])
    return torch.cat([-weights.flip(0), torch.ones(1, dtype=torch.float64)]).float()[None, None]


def _energy(sound: Tensor, start: Tensor, end: Tensor) -> Tensor:
    """Energy between two places, which may lie between samples, for many places at once."""
    sums = F.pad(sound.double().square().cumsum(0), (1, 0))
    first, last = (place.round().long().clamp(0, len(sound)) for place in (start, end))
    return (sums[last] - sums[first]).float()


def _shifted(sounds: Sequence[SoundFacts], candidates: Sequence[int]) -> list[tuple[int, int]]:
    if len(candidates) < 2:
        return []
    signatures = torch.stack([_signature(sounds[index].thumbnail) for index in candidates])
    apart = torch.cdist(signatures, signatures, p=1.0) / BANDS
    files: dict[str, int] = {}
    file = torch.tensor([files.setdefault(sounds[i].file, len(files)) for i in candidates])
    apart = apart.masked_fill(file[:, None] == file, torch.inf)
    rows, columns = torch.triu_indices(len(candidates), len(candidates), 1)
    distances = apart[rows, columns]
    order = distances.argsort()[:MOST_PAIRS]
    found = []
    for place in order[distances[order] < ALIKE_DB].tolist():
        one, other = candidates[int(rows[place])], candidates[int(columns[place])]
        heard = sounds[one].thumbnail, sounds[other].thumbnail
        if likeness(*heard, 1) > COARSE and likeness(*heard) > SAME:
            found.append((one, other))
    return found


def _signature(thumbnail: Tensor) -> Tensor:
    """The shape of a spectrum in dB `(BANDS,)`, whatever the level."""
    power = torch.fft.rfft(thumbnail - thumbnail.mean()).abs().square()
    bands = F.adaptive_avg_pool1d(power[None], BANDS)[0]
    decibels = 10 * bands.clamp_min(1e-20).log10()
    # Rounding drowns what lies 60 dB under the strongest band, in one file more than in another.
    decibels = decibels.clamp_min(float(decibels.max()) - 60)
    return decibels - decibels.mean()
