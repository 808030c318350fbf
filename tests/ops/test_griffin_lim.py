"""Phases from magnitudes: inverses, torchaudio's numbers, and sounds that come back."""

import math

import pytest
import torch
from torch import Generator

from audio_diffusion_pytorch.ops import (
    complex_spectrogram,
    griffin_lim,
    mel_filter_bank,
    mel_to_magnitudes,
    overlap_add,
    reflect_pad,
)


def chord(length):
    """Three decaying tones, in float64."""
    n = torch.arange(length, dtype=torch.float64) / 8000
    return sum(
        torch.exp(-3 * n) * torch.sin(2 * math.pi * f * n + f) / 4 for f in (220.0, 277.0, 700.0)
    )


def spectrum(x, n_fft, hop, window=None):
    return complex_spectrogram(reflect_pad(x, n_fft // 2, n_fft // 2), n_fft, hop, window)


@pytest.mark.parametrize("sizes", [(64, 16, 64), (64, 20, 50), (63, 16, 63)])
def test_overlap_add_undoes_the_spectrogram(sizes):
    n_fft, hop, _ = sizes
    x = torch.randn(2, 3, 64 + 7 * hop, generator=Generator().manual_seed(0), dtype=torch.float64)
    found = overlap_add(complex_spectrogram(x, *sizes), *sizes)
    inner = slice(n_fft // 2, found.shape[-1] - n_fft // 2)
    torch.testing.assert_close(found[..., inner], x[..., : found.shape[-1]][..., inner])


@pytest.mark.parametrize("momentum", [0.0, 0.5, 0.99])
@pytest.mark.parametrize(("sizes", "length"), [((64, 16, 64), None), ((64, 16, 48), 325)])
def test_equals_torchaudios_from_the_same_phase(momentum, sizes, length):
    torchaudio = pytest.importorskip("torchaudio")
    n_fft, hop, window = sizes
    magnitudes = spectrum(chord(320).expand(2, 1, -1), *sizes).abs()
    hann = torch.hann_window(window, dtype=torch.float64)
    wanted = torchaudio.functional.griffinlim(
        magnitudes, hann, n_fft, hop, window, 1.0, 8, momentum, length, rand_init=False
    )
    options = {"iterations": 8, "momentum": momentum, "length": length}
    found = griffin_lim(magnitudes, *sizes, phase=torch.zeros_like(magnitudes), **options)
    torch.testing.assert_close(found, wanted, atol=1e-9, rtol=0)


def test_the_true_phase_gives_the_sound_back():
    x = chord(640)
    true = spectrum(x, 128, 32)
    found = griffin_lim(true.abs(), 128, 32, phase=true.angle(), iterations=3)
    torch.testing.assert_close(found, x)


def test_momentum_comes_nearer_and_both_beat_the_start():
    magnitudes = spectrum(chord(4000), 256, 64).abs()

    def error(**options):
        sound = griffin_lim(
            magnitudes, 256, 64, generator=Generator().manual_seed(0), length=4000, **options
        )
        return float((spectrum(sound, 256, 64).abs() - magnitudes).norm() / magnitudes.norm())

    start, plain, fast = error(iterations=0), error(momentum=0.0), error()
    assert fast < 0.8 * plain < 0.5 * start


@pytest.mark.parametrize("length", [1, 2, 7, 31, 32, 33, 100])
def test_any_length_comes_back_with_as_many_samples(length):
    x = torch.randn(2, length, generator=Generator().manual_seed(0))
    frames = spectrum(x, 32, 8).abs()
    sound = griffin_lim(frames, 32, 8, iterations=2, length=length)
    assert sound.shape == x.shape
    assert sound.isfinite().all()


def test_generator_dtype_and_silence():
    magnitudes = spectrum(chord(200), 64, 16).abs().float()
    sounds = [griffin_lim(magnitudes, 64, 16, generator=Generator().manual_seed(3)) for _ in "ab"]
    assert torch.equal(*sounds) and sounds[0].dtype == torch.float32
    assert not torch.equal(sounds[0], griffin_lim(magnitudes, 64, 16))
    assert griffin_lim(torch.zeros(33, 5), 64, 16).abs().max() == 0
    assert griffin_lim(magnitudes.bfloat16(), 64, 16).dtype == torch.bfloat16


def test_mel_inversion_is_nowhere_negative_and_has_the_mels_asked_for():
    magnitudes = spectrum(chord(4000), 512, 128).abs()
    bank = mel_filter_bank(257, 40, 8000, dtype=torch.float64)
    mel = bank.T @ magnitudes
    found = mel_to_magnitudes(mel, bank)
    assert found.min() >= 0
    assert (bank.T @ found - mel).norm() < 0.02 * mel.norm()
    least_squares = (torch.linalg.pinv(bank.T) @ mel).clamp_min(0)  # what is usual
    assert (found - magnitudes).norm() < 0.9 * (least_squares - magnitudes).norm()
    assert mel_to_magnitudes(torch.zeros(40, 3), bank).abs().max() == 0


@pytest.mark.parametrize(
    "options", [{"momentum": 1.0}, {"iterations": -1}, {"length": 90}, {"length": 63}]
)
def test_refuses_options_that_do_not_fit(options):
    with pytest.raises(ValueError, match=r"must lie|belong to"):
        griffin_lim(torch.ones(33, 5), 64, 16, **options)  # 64..79 samples


def test_refuses_shapes_that_do_not_fit():
    with pytest.raises(ValueError, match="magnitudes must be"):
        griffin_lim(torch.ones(32, 5), 64, 16)
    with pytest.raises(ValueError, match="mel spectra must be"):
        mel_to_magnitudes(torch.ones(5, 4), mel_filter_bank(33, 8, 8000))
