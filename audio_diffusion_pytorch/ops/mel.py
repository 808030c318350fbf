"""The mel scale, and spectra of a sound on it."""

from __future__ import annotations

from functools import lru_cache
from math import log10

import torch
from torch import Tensor

from .padding import reflect_pad


def hertz_to_mel(frequency: float) -> float:
    """Return the pitch in mel of a frequency in Hz: `2595 log10(1 + f / 700)`.

    Source: O'Shaughnessy 1987, "Speech communication", p. 150; the scale of the HTK toolkit.
    """
    return 2595.0 * log10(1.0 + frequency / 700.0)


def mel_filter_bank(
    num_bins: int,
    num_mels: int,
    sample_rate: int,
    f_min: float = 0.0,
    f_max: float | None = None,
    *,
    dtype: torch.dtype = torch.float32,
    device: torch.device | None = None,
) -> Tensor:
    """Return triangles of height 1, evenly spaced on the mel scale: `(num_bins, num_mels)`.

    `magnitudes (..., frames, num_bins) @ bank` gives mel spectra. A triangle so narrow that it
    falls between two bins is all zeros: then there are too many mels for the frame length.

    Args:
        num_bins: Bins of the spectrum, `n_fft // 2 + 1`, from 0 Hz to `sample_rate // 2`.
        num_mels: Triangles.
        sample_rate: Hz.
        f_min: Where the first triangle starts, Hz.
        f_max: Where the last one ends, Hz; default `sample_rate // 2`.
        dtype: Of the result.
        device: Of the result; default the CPU.

    Raises:
        ValueError: If a count is below 1, or the frequencies do not rise from 0 up.
    """
    f_max = float(sample_rate // 2) if f_max is None else f_max
    if num_bins < 1 or num_mels < 1 or not 0 <= f_min < f_max:
        raise ValueError(
            "a mel filter bank needs at least 1 bin and 1 mel and 0 <= f_min < f_max, got "
            f"{num_bins} bins, {num_mels} mels, {f_min:g}..{f_max:g} Hz"
        )
    low, high = hertz_to_mel(f_min), hertz_to_mel(f_max)
    bins = torch.linspace(0, sample_rate // 2, num_bins, dtype=torch.float64, device="cpu")
    mels = torch.linspace(low, high, num_mels + 2, dtype=torch.float64, device="cpu")
    corners = 700.0 * (10.0 ** (mels / 2595.0) - 1.0)
    width = corners.diff()
    distance = corners - bins[:, None]  # (num_bins, num_mels + 2)
    rising = -distance[:, :-2] / width[:-1]
    falling = distance[:, 2:] / width[1:]
    return torch.minimum(rising, falling).clamp_min(0).to(device=device, dtype=dtype)


def complex_spectrogram(
    audio: Tensor, n_fft: int, hop: int, win_length: int | None = None
) -> Tensor:
    """Return Fourier transforms `(..., n_fft // 2 + 1, frames)` of Hann-windowed frames.

    Frame `i` holds the samples from `i * hop` on; nothing is padded, so that there are
    `(t - n_fft) // hop + 1` frames. Computed in float32 at least, whatever autocast says.

    Args:
        audio: `(..., t)`, at least `n_fft` samples.
        n_fft: Frame length in samples.
        hop: Samples between frames.
        win_length: Length of the periodic Hann window in the middle of a frame; default `n_fft`.

    Raises:
        ValueError: If the sizes do not fit one another or the sound.
    """
    check_sizes(n_fft, hop, win_length)
    if audio.shape[-1] < n_fft:
        raise ValueError(f"a frame needs {n_fft} samples, got {audio.shape[-1]}: pad the sound")
    exact = audio.to(torch.promote_types(audio.dtype, torch.float32))
    window = hann_window(n_fft, win_length or n_fft, exact.dtype, exact.device)
    spectra: Tensor = torch.fft.rfft(exact.unfold(-1, n_fft, hop) * window)
    return spectra.transpose(-1, -2)


def mel_spectrogram(
    audio: Tensor,
    bank: Tensor,
    n_fft: int,
    hop: int,
    win_length: int | None = None,
    padding: tuple[int, int] = (0, 0),
) -> Tensor:
    """Return mel magnitudes `(..., num_mels, frames)` of `(..., t)`, of whatever length.

    Args:
        audio: `(..., t)`; reflected at its ends, see `padding`.
        bank: `mel_filter_bank` with `n_fft // 2 + 1` bins.
        n_fft: Frame length in samples.
        hop: Samples between frames.
        win_length: Length of the window; default `n_fft`.
        padding: Samples of the mirror image before and after; `(n_fft // 2, n_fft // 2)` centres
            the first frame on the first sample.

    Raises:
        ValueError: If the sizes do not fit one another or the sound.
    """
    magnitudes = complex_spectrogram(reflect_pad(audio, *padding), n_fft, hop, win_length).abs()
    with torch.autocast(audio.device.type, enabled=False):
        mel: Tensor = bank.to(magnitudes).T @ magnitudes
    return mel.to(audio.dtype)


def check_sizes(n_fft: int, hop: int, win_length: int | None) -> None:
    """Refuse frames, hops and windows below one sample, and windows longer than their frame."""
    if n_fft < 1 or hop < 1 or not 1 <= (win_length or n_fft) <= n_fft:
        raise ValueError(
            "n_fft and hop must be at least 1 sample and the window no longer than n_fft, got "
            f"n_fft {n_fft}, hop {hop}, window {win_length}"
        )


def hann_window(n_fft: int, win_length: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Return a periodic Hann window of `win_length` in the middle of `n_fft` samples; kept."""
    make = _hann_window if torch.compiler.is_compiling() else _cached_hann_window
    return make(n_fft, win_length, dtype, device)


def _hann_window(n_fft: int, win_length: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    window = torch.hann_window(win_length, dtype=torch.float64, device="cpu")
    before = (n_fft - win_length) // 2
    padded = torch.nn.functional.pad(window, (before, n_fft - win_length - before))
    return padded.to(device=device, dtype=dtype)


@lru_cache(maxsize=64)
def _cached_hann_window(
    n_fft: int, win_length: int, dtype: torch.dtype, device: torch.device
) -> Tensor:
    with torch.inference_mode(False), torch.no_grad():  # a later call may want gradients
        return _hann_window(n_fft, win_length, dtype, device)


def cached_filter_bank(
    num_bins: int, num_mels: int, sample_rate: int, dtype: torch.dtype, device: torch.device
) -> Tensor:
    """Return `mel_filter_bank` from 0 Hz to half the sample rate; kept for the next call."""
    if torch.compiler.is_compiling():
        return mel_filter_bank(num_bins, num_mels, sample_rate, dtype=dtype, device=device)
    return _cached_filter_bank(num_bins, num_mels, sample_rate, dtype, device)


@lru_cache(maxsize=64)
def _cached_filter_bank(
    num_bins: int, num_mels: int, sample_rate: int, dtype: torch.dtype, device: torch.device
) -> Tensor:
    with torch.inference_mode(False), torch.no_grad():
        return mel_filter_bank(num_bins, num_mels, sample_rate, dtype=dtype, device=device)
