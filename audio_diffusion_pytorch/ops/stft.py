"""Frames of a sound and their spectra."""

from __future__ import annotations

import torch
from torch import Tensor


def frame(audio: Tensor, size: int, hop: int) -> Tensor:
    """Cut `(..., t)` into overlapping frames `(..., n, size)` whose centres start at sample 0.

    Zeros go before the first and after the last sample, so that every sample counts.
    """
    if size < 1 or hop < 1:
        raise ValueError(f"size and hop must be at least 1 sample, got {size} and {hop}")
    half = size // 2
    missing = -audio.shape[-1] % hop
    padded = torch.nn.functional.pad(audio, (half, size - half + missing))
    return padded.unfold(-1, size, hop)


def power_spectrogram(audio: Tensor, size: int, hop: int, bins: int | None = None) -> Tensor:
    """Power spectra `(..., n, bins // 2 + 1)` of Hann-windowed frames of `(..., t)`.

    Divided by the window's sum, so that a full-scale sine has power 0.25 in its bin (amplitude 0.5
    at each of the two frequencies).

    Args:
        audio: `(..., t)`.
        size: Frame length in samples.
        hop: Samples between frames.
        bins: Length of the Fourier transform, at least `size` (zero-padded); None: `size`.
    """
    window = torch.hann_window(size, dtype=audio.dtype, device=audio.device)
    frames = frame(audio, size, hop) * (window / window.sum())
    power: Tensor = torch.fft.rfft(frames, bins or size).abs().square()
    return power


def mean_power_spectrum(audio: Tensor, size: int, hop: int, bins: int | None = None) -> Tensor:
    """Welch's mean over frames of `power_spectrogram`: `(b, t)` to `(b, bins // 2 + 1)`.

    Done a few clips at a time, so that memory stays small.
    """
    frames_a_clip = audio.shape[-1] // hop + 2
    few = max(1, 1024 // frames_a_clip)
    return torch.cat(
        [power_spectrogram(a, size, hop, bins).mean(-2) for a in torch.split(audio, few)]
    )
