"""The comb finds what it is made for, and power is neither lost nor found on the way."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Generator

from audio_diffusion_pytorch.ops import (
    band_power,
    harmonic_salience,
    log_power_spectrum,
    pitch_spectrum,
)
from audio_diffusion_pytorch.ops.pitch_salience import STRETCHES, stretched

RATE = 16000


def test_bands_share_out_the_power():
    density = torch.rand(3, 100, generator=Generator().manual_seed(0), dtype=torch.float64)
    edges = torch.tensor([-5.0, 3.3, 3.4, 17.0, 49.9, 60.0], dtype=torch.float64)
    bands = band_power(density, 0.5, edges[:-1], edges[1:])
    torch.testing.assert_close(bands.sum(-1), density.sum(-1))
    # Bin 10 stands at 5 Hz and reaches from 4.75 to 5.25 Hz.
    part = band_power(density, 0.5, torch.tensor([4.75]), torch.tensor([5.0]))
    torch.testing.assert_close(part[:, 0], density[:, 10] / 2)


@pytest.mark.parametrize("frequency", [40.0, 440.0, 4000.0])
def test_log_spectrum_peaks_at_the_sine(frequency):
    audio = torch.sin(2 * math.pi * frequency * torch.arange(RATE) / RATE)[None]
    density, width = pitch_spectrum(audio, RATE, 27.0)
    spectrum = log_power_spectrum(density, width, 27.0)
    peak = float(spectrum.frequency[spectrum.power.argmax()])
    assert abs(peak - frequency) < max(width / 2, 0.005 * frequency)  # half a bin or 9 cents
    steps = 1200 * torch.log2(spectrum.frequency[1:] / spectrum.frequency[:-1])
    torch.testing.assert_close(steps, torch.full_like(steps, 5.0), rtol=0, atol=0.01)


@pytest.mark.parametrize("row", range(len(STRETCHES)))
def test_salience_is_highest_at_the_pitch_and_stretch_of_the_string(row):
    time = torch.arange(RATE, dtype=torch.float64) / RATE
    partials = range(1, 21)
    places = [110 * stretched(partial, STRETCHES[row]) for partial in partials]
    audio = sum(torch.sin(2 * math.pi * place * time + place) for place in places)[None]
    density, width = pitch_spectrum(audio, RATE, 27.0)
    salience = harmonic_salience(log_power_spectrum(density, width, 27.0), 27.0, 4500.0)
    best = int(salience.score[0].amax(1).argmax())
    assert abs(best - row) <= 1
    pitch = float(salience.frequency[salience.score[0, best].argmax()])
    assert abs(1200 * math.log2(pitch / 110)) < 10
    assert salience.frequency[0] == pytest.approx(27.0)
    assert salience.frequency[-1] == pytest.approx(4500.0, rel=0.003)


def test_salience_does_not_depend_on_the_level():
    audio = torch.randn(2, RATE, generator=Generator().manual_seed(0), dtype=torch.float64)
    scores = []
    for gain in (1.0, 1000.0):
        density, width = pitch_spectrum(audio * gain, RATE, 50.0)
        spectrum = log_power_spectrum(density, width, 50.0)
        scores.append(harmonic_salience(spectrum, 50.0, 1000.0).score)
    torch.testing.assert_close(scores[0], scores[1])


def test_partials_without_stretch_stand_at_multiples():
    assert [stretched(partial, 0.0) for partial in (0.5, 1, 7)] == [0.5, 1, 7]
    assert stretched(10, 3e-4) == pytest.approx(10 * math.sqrt(1.03))
