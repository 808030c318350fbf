"""The best linear denoiser for the spectrum of some clips: what a filter alone can do."""

from __future__ import annotations

import torch
from torch import Tensor

VALUES_A_BAND = 16
"""Powers averaged for one point of a spectrum: known to a quarter, its filter to a few percent."""
EVEN_SHARES = (1e-4, 0.03, 0.1, 0.3, 0.6, 1.0)
"""How much of an even spectrum is mixed in, of which the best is chosen; 1 is loudness alone."""
_FOLDS = 4
_LEVELS = (0.1, 0.3, 1.0, 3.0, 10.0)  # sigma / alpha at which they are tried


class LinearDenoiser:
    """Wiener's filter for each channel, made from the spectra along time of some clips.

    A channel's spectrum is the mean of the clips' periodograms, and with fewer than 16 clips also
    of neighbouring frequencies, so that it is never a picture of single clips. As much of an even
    spectrum is mixed in as makes three quarters of the clips denoise the last quarter best. All
    axes between the first and the last are channels.

    Args:
        clean: Clean signals `(b, c, *t)` in the space of the diffusion.

    Attributes:
        spectrum: Power `(channels, t // 2 + 1)` at the frequencies of the clips' length.
        variance: Mean square of the clips.
        space: What the clips are, in words, such as "2 channels in time".

    Raises:
        ValueError: There is no signal.

    Source: Wiener 1949; at each frequency of power S the gain `alpha S / (alpha^2 S + sigma^2)`.
    """

    def __init__(self, clean: Tensor) -> None:
        if clean.numel() == 0 or clean.ndim < 2:
            raise ValueError(
                "the linear denoiser needs clean signals (b, c, t), at least one sample, got shape "
                f"{tuple(clean.shape)}"
            )
        channels = f"{clean.shape[1]} channel{'s' if clean.shape[1] != 1 else ''}"
        bands = " x ".join(f"{size} bands" for size in clean.shape[2:-1])
        self.space = f"{channels} of {bands}" if bands else f"{channels} in time"
        power = periodogram(clean)
        self.variance = float(clean.float().cpu().double().square().mean())
        self.spectrum = _mixed(_spectrum(power), _best_even_share(power, clean.shape[-1]))

    def errors(self, clean: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        """Return the mean squared error `(b, n)` of its guess of each clip at each level.

        It is the exact mean over all noise: nothing is drawn.

        Args:
            clean: Clean signals `(b, c, *t)`, the channels as those it was made from.
            alpha: Gains of the signal `(n,)`.
            sigma: Gains of the noise `(n,)`.
        """
        power = periodogram(clean)
        spectrum = _stretched(self.spectrum, power.shape[-1])
        return _errors(spectrum, power, clean.shape[-1], alpha.to(power), sigma.to(power))

    def loudness_errors(self, variance: float, alpha: Tensor, sigma: Tensor) -> Tensor:
        """Return the error `(n,)` of the guess that knows only how loud the training clips are.

        Args:
            variance: Mean square of the clips that are judged.
            alpha: Gains of the signal `(n,)`.
            sigma: Gains of the noise `(n,)`.
        """
        gain = alpha * self.variance / (alpha.square() * self.variance + sigma.square())
        return (1 - alpha * gain).square() * variance + (sigma * gain).square()


def _best_even_share(power: Tensor, length: int) -> float:
    """Return the share of an even spectrum with which some of the clips denoise the rest best."""
    if len(power) < 2:
        return 0.5
    ratio = torch.tensor(_LEVELS, dtype=torch.float64)
    angle = torch.atan(ratio)
    alpha, sigma = torch.cos(angle), torch.sin(angle)
    # By chance: clips are often listed in turns, a kind each.
    order = torch.randperm(len(power), generator=torch.Generator().manual_seed(0))
    fold = order % min(_FOLDS, len(power))
    costs = torch.zeros(len(EVEN_SHARES), dtype=torch.float64)
    for number in fold.unique():
        spectrum, judged = _spectrum(power[fold != number]), power[fold == number]
        for place, share in enumerate(EVEN_SHARES):
            errors = _errors(_mixed(spectrum, share), judged, length, alpha, sigma)
            costs[place] += (errors / sigma.square()).sum()
    return EVEN_SHARES[int(costs.argmin())]


def periodogram(clean: Tensor) -> Tensor:
    """Return the power `(b, channels, t // 2 + 1)` of each clip at the frequencies of its length.

    White noise of unit variance has 1 everywhere. Float64 on the CPU.
    """
    rows = clean.detach().to("cpu", torch.float64).reshape(len(clean), -1, clean.shape[-1])
    power: Tensor = torch.fft.rfft(rows).abs().square() / clean.shape[-1]
    return power


def _spectrum(power: Tensor) -> Tensor:
    """Return the spectrum of each channel from the periodograms of some clips."""
    return _smoothed(power.mean(0), -(-VALUES_A_BAND // len(power)))


def _mixed(spectrum: Tensor, share: float) -> Tensor:
    """Return a spectrum with a share of an even one, of the same power over all channels."""
    return torch.lerp(spectrum, spectrum.mean().expand_as(spectrum), share)


def _errors(spectrum: Tensor, power: Tensor, length: int, alpha: Tensor, sigma: Tensor) -> Tensor:
    """Return the error `(b, n)` of the filter of a spectrum on clips of given periodograms."""
    weight = _weights(length)
    found = []
    for a, s in zip(alpha, sigma, strict=True):
        gain = a * spectrum / (a.square() * spectrum + s.square()).clamp_min(1e-300)
        left = (1 - a * gain).square() * power + (s * gain).square()
        found.append((left * weight).sum(-1).mean(-1))
    return torch.stack(found, 1)


def _weights(length: int) -> Tensor:
    """Return the share of each frequency of a real signal: all but the ends stand for two."""
    weights = torch.full((length // 2 + 1,), 2.0, dtype=torch.float64)
    weights[0] = 1
    if length % 2 == 0:
        weights[-1] = 1
    return weights / length


def _smoothed(power: Tensor, count: int) -> Tensor:
    """Return the mean over `count` neighbouring frequencies, fewer at the ends."""
    if count < 2:
        return power
    before, size = (count - 1) // 2, power.shape[-1]
    total = torch.nn.functional.pad(power, (1, 0)).cumsum(-1)
    place = torch.arange(size)
    first = (place - before).clamp(0, size)
    last = (place - before + count).clamp(0, size)
    return (total[..., last] - total[..., first]) / (last - first)


def _stretched(spectrum: Tensor, size: int) -> Tensor:
    """Return a spectrum at another number of frequencies, for clips of another length."""
    if spectrum.shape[-1] == size:
        return spectrum
    if spectrum.shape[-1] == 1 or size == 1:
        return spectrum.mean(-1, keepdim=True).expand(-1, size)
    return torch.nn.functional.interpolate(
        spectrum[None], size=size, mode="linear", align_corners=True
    )[0]
