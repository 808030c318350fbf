"""A sound from the magnitudes of its spectrum alone: the phases are found by iteration."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from .mel import check_sizes, complex_spectrogram, hann_window
from .padding import reflect_pad
from .random import check_generator

_LEAST = 1e-16  # keeps 0 / 0 from being no number
_LEAST_WEIGHT = 1e-11  # of squared windows: below it nothing is known of a sample


@torch.no_grad()
def griffin_lim(
    magnitudes: Tensor,
    n_fft: int,
    hop: int,
    win_length: int | None = None,
    *,
    iterations: int = 32,
    momentum: float = 0.99,
    padding: tuple[int, int] | None = None,
    length: int | None = None,
    phase: Tensor | None = None,
    generator: Generator | None = None,
) -> Tensor:
    """Return a sound `(..., t)` whose spectrogram has nearly these magnitudes.

    Alternates between spectra of the wanted magnitudes and spectra that belong to a sound, with
    momentum: faster, and to a better end, than without.

    Args:
        magnitudes: `(..., n_fft // 2 + 1, frames)`, of Hann-windowed frames.
        n_fft: Frame length in samples.
        hop: Samples between frames, at most the window for a sound without gaps.
        win_length: Length of the window; default `n_fft`.
        iterations: 0 only puts the start phase in.
        momentum: 0..1, 1 excluded; 0 is the method of Griffin and Lim.
        padding: How far the first frame starts before the sound, and the last ends after it, in
            samples; default `(n_fft // 2, n_fft // 2)`, frames centred on every `hop`-th sample.
        length: Samples wanted; it must have as many frames as there are. Default the fewest.
        phase: Where to start, `(..., n_fft // 2 + 1, frames)` in radians; default drawn.
        generator: For the phase drawn, on the device of the magnitudes.

    Raises:
        ValueError: If sizes, momentum, length or the generator's device do not fit.

    Source: Perraudin, Balazs and Sondergaard 2013, "A fast Griffin-Lim algorithm", WASPAA,
    algorithm 2; Griffin and Lim 1984, "Signal estimation from modified short-time Fourier
    transform", IEEE Trans. ASSP 32(2).
    """
    check_sizes(n_fft, hop, win_length)
    if magnitudes.ndim < 2 or magnitudes.shape[-2] != n_fft // 2 + 1 or 0 in magnitudes.shape:
        raise ValueError(
            f"magnitudes must be (..., {n_fft // 2 + 1}, frames) for n_fft={n_fft}, got "
            f"{tuple(magnitudes.shape)}"
        )
    if not 0 <= momentum < 1 or iterations < 0:
        raise ValueError(
            "momentum must lie in 0..1, 1 excluded, and iterations be at least 0, got "
            f"{momentum} and {iterations}"
        )
    exact = magnitudes.to(torch.promote_types(magnitudes.dtype, torch.float32))
    before, after = (n_fft // 2, n_fft // 2) if padding is None else padding
    total = n_fft + (magnitudes.shape[-1] - 1) * hop  # samples under any frame
    length = _check_length(length, total - before - after, hop)

    def analyse(sound: Tensor) -> Tensor:
        padded = reflect_pad(sound, before, after)[..., :total]
        return complex_spectrogram(padded, n_fft, hop, win_length)

    def synthesise(spectrum: Tensor) -> Tensor:
        sound = overlap_add(spectrum, n_fft, hop, win_length)
        return F.pad(sound, (-before, before + length - total))

    if phase is None:
        check_generator(generator, exact.device)
        phase = torch.rand(exact.shape, generator=generator, device=exact.device).to(exact)
        phase = phase * (2 * torch.pi)
    direction = torch.polar(torch.ones_like(exact), phase.to(exact).expand_as(exact))
    before_last: Tensor | None = None
    for _ in range(iterations):
        rebuilt = analyse(synthesise(exact * direction))
        step = rebuilt if before_last is None else rebuilt - momentum / (1 + momentum) * before_last
        direction = step / (step.abs() + _LEAST)
        before_last = rebuilt
    return synthesise(exact * direction).to(magnitudes.dtype)


def overlap_add(spectrum: Tensor, n_fft: int, hop: int, win_length: int | None = None) -> Tensor:
    """Return the sound whose windowed frames are nearest to a spectrum, by least squares.

    The inverse of `complex_spectrogram` wherever a window is not zero.

    Args:
        spectrum: Complex, `(..., n_fft // 2 + 1, frames)`.
        n_fft: Frame length in samples.
        hop: Samples between frames.
        win_length: Length of the Hann window; default `n_fft`.

    Returns:
        `(..., n_fft + (frames - 1) * hop)`.
    """
    frames = spectrum.shape[-1]
    total = n_fft + (frames - 1) * hop
    window = hann_window(n_fft, win_length or n_fft, spectrum.real.dtype, spectrum.device)
    columns = torch.fft.irfft(spectrum, n_fft, dim=-2) * window[:, None]
    weights = window.square()[:, None].expand(n_fft, frames)[None]
    added, weight = (
        F.fold(c, (1, total), (1, n_fft), stride=(1, hop)).flatten(1)
        for c in (columns.reshape(-1, n_fft, frames), weights)
    )
    sound = torch.where(weight > _LEAST_WEIGHT, added / weight.clamp_min(_LEAST_WEIGHT), 0.0)
    return sound.reshape(*spectrum.shape[:-2], total)


@torch.no_grad()
def mel_to_magnitudes(mel: Tensor, bank: Tensor, iterations: int = 200) -> Tensor:
    """Return magnitudes `(..., num_bins, frames)` of 0 or more that have these mel magnitudes.

    There are fewer mels than bins, so that many answers would do. Multiplicative updates from a
    smooth start come to one that is smooth where the mels say nothing.

    Args:
        mel: `(..., num_mels, frames)`, 0 or more.
        bank: `mel_filter_bank (num_bins, num_mels)`.
        iterations: More come closer: after 200 the mels differ by about 1 % or less.

    Raises:
        ValueError: If the mels do not fit the filter bank.

    Source: Lee and Seung 2001, "Algorithms for non-negative matrix factorization", NIPS, eq. 4,
    with the bank held fixed.
    """
    if mel.ndim < 2 or mel.shape[-2] != bank.shape[1]:
        raise ValueError(
            f"mel spectra must be (..., {bank.shape[1]}, frames) for this filter bank, got "
            f"{tuple(mel.shape)}"
        )
    exact = mel.to(torch.promote_types(mel.dtype, torch.float32)).clamp_min(0)
    bank = bank.to(exact)
    wanted = bank @ exact
    magnitudes = bank @ (exact / bank.sum(0).clamp_min(_LEAST_WEIGHT)[:, None])
    for _ in range(iterations):
        made = bank @ (bank.T @ magnitudes)
        magnitudes = magnitudes * (wanted / made.clamp_min(1e-30))
    return magnitudes.to(mel.dtype)


def _check_length(length: int | None, least: int, hop: int) -> int:
    """Return the length of the sound: the one asked for, or else the least, at least 1."""
    if length is None and least >= 1:
        return least
    if length is None or not max(1, least) <= length < least + hop:
        raise ValueError(
            f"so many frames belong to {max(1, least)}..{least + hop - 1} samples, got "
            f"length={length}: ask for one of these, or crop the sound"
        )
    return length
