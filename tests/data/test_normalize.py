from __future__ import annotations

import pytest
import torch

from audio_diffusion_pytorch.data.normalize import (
    fade_edges,
    loudness,
    normalize_loudness,
    normalize_peak,
)


@pytest.mark.parametrize("rate", [16000, 44100])
def test_loudness_of_a_1_khz_sine_is_as_standardised(rate: int) -> None:
    # BS.1770: a 0 dBFS 997 Hz sine in one channel reads -3.01 LUFS.
    t = torch.arange(5 * rate, dtype=torch.float64) / rate
    sine = torch.sin(2 * torch.pi * 997 * t)[None]
    assert loudness(sine, rate) == pytest.approx(-3.01, abs=0.1)


@pytest.mark.parametrize("channels", [1, 2])
def test_loudness_agrees_with_torchaudio(channels: int) -> None:
    functional = pytest.importorskip("torchaudio.functional")
    rate = 8000
    audio = 0.1 * torch.randn(channels, 2 * rate)
    audio[:, rate:] *= 0.01  # so that the gates have work
    expected = float(functional.loudness(audio, rate))
    assert loudness(audio, rate) == pytest.approx(expected, abs=0.05)
    made = normalize_loudness(audio, rate)
    assert float(functional.loudness(made, rate)) == pytest.approx(-23, abs=0.05)


def test_silence_is_never_turned_up() -> None:
    hiss = 1e-4 * torch.randn(1, 8000)
    assert torch.equal(normalize_peak(hiss), hiss)
    assert torch.equal(normalize_loudness(hiss, 8000), hiss)
    assert loudness(torch.zeros(1, 8000), 8000) == float("-inf")


def test_fade_touches_the_edges_only() -> None:
    faded = fade_edges(torch.ones(1, 1000), 100)
    assert faded[0, 0] == 0 and faded[0, -1] == 0
    assert torch.equal(faded[:, 100:900], torch.ones(1, 800))
    assert torch.equal(fade_edges(torch.ones(1, 1000), 0), torch.ones(1, 1000))
