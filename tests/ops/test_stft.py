"""Frames cover every sample; spectra hold the power that is there."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Generator

from audio_diffusion_pytorch.ops import frame, mean_power_spectrum, power_spectrogram


@pytest.mark.parametrize("length", [1, 7, 8, 9, 100])
@pytest.mark.parametrize(("size", "hop"), [(8, 2), (8, 8), (9, 3)])
def test_frames_are_centred_on_multiples_of_the_hop(length, size, hop):
    audio = torch.arange(1.0, length + 1)
    frames = frame(audio, size, hop)
    assert frames.shape == (math.ceil(length / hop) + 1, size)
    expected = torch.arange(1.0, frames.shape[0] * hop + 1, hop)[: frames.shape[0]]
    expected[expected > length] = 0
    torch.testing.assert_close(frames[:, size // 2], expected)
    assert set(audio.tolist()) <= set(frames.flatten().tolist())


def test_frames_refuse_a_hop_of_nothing():
    with pytest.raises(ValueError, match="got 8 and 0"):
        frame(torch.zeros(9), 8, 0)


def test_full_scale_sine_has_a_quarter_in_its_bin():
    audio = torch.sin(2 * math.pi * 50 / 1000 * torch.arange(4000))
    for bins in (None, 800):
        power = power_spectrogram(audio, 200, 50, bins)[8:-8]
        peak = 50 * (bins or 200) // 1000
        torch.testing.assert_close(
            power[:, peak], torch.full((len(power),), 0.25), rtol=1e-3, atol=0
        )


def test_power_is_kept_by_parseval():
    audio = torch.randn(2, 3000, generator=Generator().manual_seed(0), dtype=torch.float64)
    size = 256
    window = torch.hann_window(size, dtype=torch.float64)
    power = power_spectrogram(audio, size, 64)
    whole = power[..., 0] + power[..., -1] + 2 * power[..., 1:-1].sum(-1)
    energy = (frame(audio, size, 64) * window).square().sum(-1) * size / window.sum() ** 2
    torch.testing.assert_close(whole, energy)


def test_mean_spectrum_is_the_mean_of_the_frames():
    audio = torch.randn(40, 9000, generator=Generator().manual_seed(0))
    mean = mean_power_spectrum(audio, 256, 64, 512)
    torch.testing.assert_close(mean, power_spectrogram(audio, 256, 64, 512).mean(-2))
