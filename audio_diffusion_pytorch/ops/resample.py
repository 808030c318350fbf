"""Change the sample rate by a ratio of whole numbers: windowed-sinc interpolation."""

from __future__ import annotations

from functools import lru_cache
from math import ceil, gcd, pi

import torch
import torch.nn.functional as F
from torch import Tensor


def resample(
    waveforms: Tensor,
    factor_in: int,
    factor_out: int,
    rolloff: float = 0.99,
    lowpass_filter_width: int = 6,
) -> Tensor:
    """Return `(..., t)` at `factor_out / factor_in` times its rate: `(..., t * out // in)`.

    Each output sample is the sum of the input around it under a sinc, cut off at the lower of the
    two Nyquist frequencies and faded by a cosine-squared window: a low-pass filter when the rate
    falls. Beyond its ends the signal counts as zero. Only integer lengths come out: a rest shorter
    than one output sample is dropped, so that lowering the rate of less than `in / out` samples
    leaves none.

    Args:
        waveforms: `(..., t)`.
        factor_in: Present rate, up to a common factor.
        factor_out: Wanted rate, up to the same factor.
        rolloff: Cutoff as a share of the lower Nyquist frequency, in 0..1 and above 0.
        lowpass_filter_width: Zero crossings of the sinc on each side; more is sharper and slower.

    Raises:
        ValueError: If a factor or the width is below 1, or the rolloff out of range.

    Source: Smith and Gossett 1984, "A flexible sampling-rate conversion method", ICASSP; the
    window and cutoff are those of audio-diffusion-pytorch 0.1, whose numbers these are.
    """
    if factor_in < 1 or factor_out < 1:
        raise ValueError(f"resampling factors must be at least 1, got {factor_in}, {factor_out}")
    if not 0.0 < rolloff <= 1.0 or lowpass_filter_width < 1:
        raise ValueError(
            "rolloff must lie in 0..1 and above 0, and lowpass_filter_width be at least 1, got "
            f"{rolloff} and {lowpass_filter_width}"
        )
    common = gcd(factor_in, factor_out)
    factor_in, factor_out = factor_in // common, factor_out // common
    make = _kernels if torch.compiler.is_compiling() else _cached_kernels
    kernels = make(
        factor_in, factor_out, rolloff, lowpass_filter_width, waveforms.dtype, waveforms.device
    )
    reach = (kernels.shape[-1] - factor_in) // 2
    length = waveforms.shape[-1] * factor_out // factor_in
    rows = waveforms.reshape(-1, 1, waveforms.shape[-1])
    phases = F.conv1d(F.pad(rows, (reach, reach + factor_in)), kernels, stride=factor_in)
    resampled = phases.transpose(1, 2).flatten(1)[:, :length]
    return resampled.reshape(*waveforms.shape[:-1], length)


def downsample(
    waveforms: Tensor, factor: int, rolloff: float = 0.99, lowpass_filter_width: int = 6
) -> Tensor:
    """Return `(..., t)` at a `factor` times lower rate: `(..., t // factor)`; see `resample`."""
    return resample(waveforms, factor, 1, rolloff, lowpass_filter_width)


def upsample(
    waveforms: Tensor, factor: int, rolloff: float = 0.99, lowpass_filter_width: int = 6
) -> Tensor:
    """Return `(..., t)` at a `factor` times higher rate: `(..., t * factor)`; see `resample`."""
    return resample(waveforms, 1, factor, rolloff, lowpass_filter_width)


def _kernels(
    factor_in: int,
    factor_out: int,
    rolloff: float,
    width: int,
    dtype: torch.dtype,
    device: torch.device,
) -> Tensor:
    """Return one filter for each of the output's phases: `(factor_out, 1, 2 * reach + in)`."""
    cutoff = min(factor_in, factor_out) * rolloff
    reach = ceil(width * factor_in / cutoff)
    place = torch.arange(-reach, reach + factor_in, dtype=torch.float64, device="cpu") / factor_in
    phase = torch.arange(factor_out, dtype=torch.float64, device="cpu")[:, None] / factor_out
    angle = ((place - phase) * cutoff).clamp(-width, width) * pi  # 0 at the peak of the sinc
    window = torch.cos(angle / width / 2).square()
    kernels = torch.sinc(angle / pi) * window * (cutoff / factor_in)
    return kernels[:, None].to(device=device, dtype=dtype)


@lru_cache(maxsize=64)
def _cached_kernels(
    factor_in: int,
    factor_out: int,
    rolloff: float,
    width: int,
    dtype: torch.dtype,
    device: torch.device,
) -> Tensor:
    with torch.inference_mode(False), torch.no_grad():  # a later call may want gradients
        return _kernels(factor_in, factor_out, rolloff, width, dtype, device)
