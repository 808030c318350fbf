"""What a training loss is worth: the losses that a network reaches without having learnt a thing.

A loss says nothing alone: on one schedule 0.28 is the noise level and no more, on another it is
good work. Here stand the marks to hold it against, for any schedule and target: predict zero; know
only how loud the data are; know only their spectrum (the best linear denoiser, Wiener's).

All take levels `(n,)`, one entry a time, and give the mean square error at each `(n,)`. The data
are stationary and Gaussian with a power spectrum `(k,)`: the mean square at each of k evenly spaced
frequencies of both signs, whose mean is the variance. One entry is white noise. For other data
these are still the exact errors of those predictors under the mean square.
"""

from __future__ import annotations

from math import pi
from typing import NamedTuple

import torch
from torch import Tensor

from audio_diffusion_pytorch.ops.stft import mean_power_spectrum
from audio_diffusion_pytorch.protocols import Parameterization


class Shares(NamedTuple):
    """What a target is made of: `clean x0 + noise eps + fresh n`.

    Attributes:
        clean: Share of the clean signal `(n,)`.
        noise: Share of the noise that stands in the network's input `(n,)`.
        fresh: Share of noise that the input knows nothing of `(n,)`.
    """

    clean: Tensor
    noise: Tensor
    fresh: Tensor


def target_shares(parameterization: Parameterization, alpha: Tensor, sigma: Tensor) -> Shares:
    """Return the shares of what a parameterization asks for, at levels `(n,)`."""
    one, zero = torch.ones_like(alpha), torch.zeros_like(alpha)
    return Shares(
        parameterization.target(one, zero, alpha, sigma),
        parameterization.target(zero, one, alpha, sigma),
        zero,
    )


def previous_shares(
    alpha: Tensor, sigma: Tensor, previous_alpha: Tensor, previous_sigma: Tensor
) -> Shares:
    """Return the shares of `x_{t-1}`, the state one step cleaner on the chain of `x_t`.

    The chain is `x_t = k x_{t-1} + q n` with `k = alpha / alpha'`, so the part `q n` of the noise
    in `x_t` is new and cannot be told from the rest.

    Args:
        alpha: Of `x_t`, `(n,)`.
        sigma: Of `x_t`, above 0.
        previous_alpha: Of `x_{t-1}`, above 0.
        previous_sigma: Of `x_{t-1}`, below `sigma / alpha * previous_alpha`.

    Source: Ho et al. 2020, "DDPM", arXiv 2006.11239, eq. 2.
    """
    kept = alpha / previous_alpha * previous_sigma / sigma  # correlation of the two noises
    new = (1 - kept.square()).clamp_min(0).sqrt()
    return Shares(previous_alpha, previous_sigma * kept, previous_sigma * new)


def zero_loss(shares: Shares, spectrum: Tensor) -> Tensor:
    """Return the mean square of the target, the loss of predicting zero, at each level `(n,)`."""
    clean, noise, fresh = (share.square() for share in shares)
    return clean * spectrum.mean() + noise + fresh


def wiener_loss(shares: Shares, alpha: Tensor, sigma: Tensor, spectrum: Tensor) -> Tensor:
    """Return the mean square error of the best linear predictor at each level `(n,)`.

    With a spectrum of one entry, the variance, it is the best that knows only how loud the data
    are. Where the network is better than the one of the whole spectrum, it has learnt more than
    second-order statistics.

    Args:
        shares: Of the target.
        alpha: Signal gain of the network's input `(n,)`.
        sigma: Its noise gain, above 0.
        spectrum: Power of the data at k frequencies `(k,)`.

    Source: Wiener 1949; for each frequency the error of regression of one Gaussian on another.
    """
    clean, noise, fresh, alpha, sigma = (v[:, None] for v in (*shares, alpha, sigma))
    seen = alpha.square() * spectrum + sigma.square()
    hidden = (clean * sigma - noise * alpha).square() * spectrum / seen
    return (hidden + fresh.square()).mean(1)


def mean_absolute(mean_square: Tensor) -> Tensor:
    """Return the mean absolute value of a Gaussian error: what an L1 loss shows."""
    return (mean_square * (2 / pi)).sqrt()


def power_spectrum(audio: Tensor, size: int = 2048) -> Tensor:
    """Return the power `(size,)` of audio `(b, c, t)` at `size` frequencies; their mean is its own.

    Args:
        audio: Signals; their mean square is kept exactly.
        size: Length of the Hann-windowed frames in samples, even.
    """
    half = mean_power_spectrum(audio.reshape(-1, audio.shape[-1]), size, size // 2).mean(0)
    power = torch.cat([half, half[1:-1].flip(0)]).double()
    mean = power.mean()
    scale = audio.double().square().mean() / torch.where(mean > 0, mean, torch.ones_like(mean))
    return power * scale
