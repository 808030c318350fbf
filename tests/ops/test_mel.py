"""The mel scale against its closed form, and against torchaudio."""

import math
import warnings

import pytest
import torch

from audio_diffusion_pytorch.ops import (
    complex_spectrogram,
    hertz_to_mel,
    mel_filter_bank,
    mel_spectrogram,
    reflect_pad,
)
from audio_diffusion_pytorch.ops.mel import cached_filter_bank


@pytest.fixture
def torchaudio():
    """The oracle; its bank of too many filters warns, as ours does elsewhere."""
    module = pytest.importorskip("torchaudio")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield module


def test_a_thousand_hertz_is_a_thousand_mel():
    assert hertz_to_mel(1000) == pytest.approx(1000, abs=0.02)
    assert hertz_to_mel(0) == 0


def test_triangles_peak_at_evenly_spaced_mels_and_add_up_to_one_between():
    bank = mel_filter_bank(8001, 20, 16000, dtype=torch.float64)  # a bin a hertz
    peaks = bank.argmax(0)
    mels = torch.tensor([hertz_to_mel(float(f)) for f in peaks])
    spacing = hertz_to_mel(8000) / 21
    torch.testing.assert_close(mels, spacing * torch.arange(1, 21), atol=1.0, rtol=0)
    between = bank[peaks[0] + 1 : peaks[-1]].sum(1)
    torch.testing.assert_close(between, torch.ones_like(between), atol=0.02, rtol=0)
    assert bank.max() <= 1 and bank.min() == 0


@pytest.mark.parametrize("sample_rate", [8000, 11025, 16000, 44100, 48000])
@pytest.mark.parametrize("sizes", [(513, 80), (33, 20), (1025, 128)])
def test_filter_bank_equals_torchaudios(torchaudio, sample_rate, sizes):
    torch.set_default_dtype(torch.float64)  # its float32 alone is off by more than 1e-5
    try:
        wanted = torchaudio.functional.melscale_fbanks(
            sizes[0], 0.0, float(sample_rate // 2), sizes[1], sample_rate
        )
    finally:
        torch.set_default_dtype(torch.float32)
    found = mel_filter_bank(*sizes, sample_rate, dtype=torch.float64)
    torch.testing.assert_close(found, wanted, atol=1e-9, rtol=0)
    part = torchaudio.functional.melscale_fbanks(sizes[0], 300.0, 3000.0, sizes[1], sample_rate)
    found = mel_filter_bank(*sizes, sample_rate, 300.0, 3000.0)
    torch.testing.assert_close(found, part, atol=5e-5, rtol=0)


@pytest.mark.parametrize("sizes", [(64, 16, 64), (64, 20, 50), (65, 16, 33)])
@pytest.mark.parametrize("length", [65, 100, 333])
def test_mel_spectrogram_equals_torchaudios(torchaudio, sizes, length):
    n_fft, hop, window = sizes
    x = torch.randn(2, 3, length, generator=torch.Generator().manual_seed(0))
    oracle = torchaudio.transforms.MelSpectrogram(
        8000, n_fft, window, hop, n_mels=12, power=1.0, norm=None, mel_scale="htk"
    )
    bank = mel_filter_bank(n_fft // 2 + 1, 12, 8000)
    found = mel_spectrogram(x, bank, n_fft, hop, window, (n_fft // 2, n_fft // 2))
    torch.testing.assert_close(found, oracle(x), atol=1e-5, rtol=1e-5)


def test_complex_spectra_equal_torchs():
    x = torch.randn(2, 200, generator=torch.Generator().manual_seed(0))
    wanted = torch.stft(x, 64, 16, 48, torch.hann_window(48), return_complex=True)
    found = complex_spectrogram(reflect_pad(x, 32, 32), 64, 16, 48)
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=0)


def test_a_tone_has_its_level_in_its_band():
    n = torch.arange(4096, dtype=torch.float64)
    x = 0.5 * torch.cos(2 * math.pi * 1000 / 16000 * n)
    bank = mel_filter_bank(513, 40, 16000, dtype=torch.float64)
    mel = mel_spectrogram(x, bank, 1024, 256)
    assert mel.shape == (40, 13)
    centre = 8000 / 512 * bank[:, mel[:, 5].argmax()].argmax()
    assert abs(hertz_to_mel(float(centre)) - 1000) < hertz_to_mel(8000) / 41
    # Half the amplitude at each of two frequencies, times the window's sum.
    assert complex_spectrogram(x, 1024, 256).abs()[64].mean() == pytest.approx(0.25 * 512, rel=1e-3)


def test_half_precision_is_computed_in_full():
    x = torch.randn(1, 200, generator=torch.Generator().manual_seed(0))
    bank = mel_filter_bank(33, 8, 8000)
    exact = mel_spectrogram(x.bfloat16().float(), bank, 64, 16)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = mel_spectrogram(x.bfloat16(), bank, 64, 16)
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found.float(), exact, atol=0, rtol=0.005)  # rounded once, at its end


def test_filter_banks_are_kept_and_may_be_trained_through():
    with torch.inference_mode():
        first = cached_filter_bank(17, 4, 8000, torch.float32, torch.device("cpu"))
    assert first is cached_filter_bank(17, 4, 8000, torch.float32, torch.device("cpu"))
    assert not first.is_inference()


@pytest.mark.parametrize("sizes", [(0, 4, 8000), (9, 0, 8000), (9, 4, 8000, 3000.0, 2000.0)])
def test_filter_bank_refuses_what_makes_no_sense(sizes):
    with pytest.raises(ValueError, match="filter bank needs"):
        mel_filter_bank(*sizes)


def test_spectra_refuse_what_does_not_fit():
    with pytest.raises(ValueError, match="pad the sound"):
        complex_spectrogram(torch.zeros(10), 64, 16)
    with pytest.raises(ValueError, match="window no longer than"):
        complex_spectrogram(torch.zeros(100), 64, 16, 65)
