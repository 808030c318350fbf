"""The frequency where a spectrum ends as if cut by a knife: the trace of a lower sample rate."""

from __future__ import annotations

import torch
from torch import Tensor

SIZE = 4096  # samples of a spectrum: 11 Hz a row at 44.1 kHz
# The band below the edge and where it must have ended: between them the slope of the filter.
BELOW, ABOVE = (0.30, 0.90), 1.10
# Half an octave lies between the upper part of the band and the rest: the steepest music falls by
# some 20 dB there, the filter of a resampler by 60 and more.
UPPER, DROP_DB = 0.78, 28.0
# All of the band must stand over the rest, even its weakest tenth: partials of a tone and their
# skirts leave gaps, a recording has none.
WEAKEST, GAP_DB = 0.1, 15.0
LOWEST_EDGE = 3400.0  # Hz: nobody records at less than 8 kHz, so an edge below is the music's own
NUM_EDGES, HIGHEST = 90, 0.9  # edges tried, up to this share of the highest frequency
FAINT = 1e-3  # of full scale: below, rounding hides what the spectrum is
FEWEST_CELLS = 24


def spectrum_edge(audio: Tensor, sample_rate: int) -> float | None:
    """Return the frequency in Hz above which `(c, t)` abruptly holds nothing, or None.

    What was recorded (or stored) at a lower rate holds sound and noise all over the band up to
    half of that rate, and nothing above. Edges above 0.9 of half the sample rate are the file's
    own and are not told.
    """
    size = min(SIZE, 1 << (audio.shape[1].bit_length() - 1))
    if size < 256 or float(audio.square().mean().sqrt()) < FAINT:
        return None
    cells = _cells(audio, size)
    count = len(cells)
    lowest = LOWEST_EDGE / (sample_rate / 2)
    if count < FEWEST_CELLS or lowest >= HIGHEST:
        return None
    drops = [
        (_drop(cells, edge), edge) for edge in torch.linspace(lowest, HIGHEST, NUM_EDGES).tolist()
    ]
    drop, edge = max(drops)
    if drop < DROP_DB:
        return None
    rest = float(cells[round(ABOVE * edge * count) :].max())
    last = int((cells >= rest + drop / 2).nonzero().max()) + 1
    found = last / count * sample_rate / 2
    return found if found >= LOWEST_EDGE else None


def _drop(cells: Tensor, edge: float) -> float:
    """By how many dB the spectrum falls at an edge (a share of its width); 0 if that is none."""
    count = len(cells)
    band = cells[int(BELOW[0] * edge * count) : max(1, round(BELOW[1] * edge * count))]
    upper = cells[int(UPPER * edge * count) : max(1, round(BELOW[1] * edge * count))]
    rest = cells[round(ABOVE * edge * count) :]
    if not len(band) or not len(upper) or not len(rest):
        return 0.0
    highest = float(rest.max())
    if float(band.quantile(WEAKEST)) < highest + GAP_DB:
        return 0.0
    return float(upper.median()) - highest


def _cells(audio: Tensor, size: int) -> Tensor:
    """The spectrum in dB, as medians over 1 % of its width each."""
    decibels = _rows(audio, size)
    width = max(3, len(decibels) // 100)
    medians: Tensor = (
        decibels[: len(decibels) // width * width].unflatten(0, (-1, width)).median(1).values
    )
    return medians


def _rows(audio: Tensor, size: int) -> Tensor:
    """The mean power spectrum `(rows,)` in dB over frames and channels."""
    frames = audio.unfold(1, size, size // 2)
    window = torch.hann_window(size, periodic=True)
    power = torch.fft.rfft(frames * window).abs().square().mean((0, 1))
    decibels: Tensor = 10 * power.clamp_min(1e-30).log10()
    return decibels
