"""The windowed-sinc resampler: tones, lengths, and audio-diffusion-pytorch 0.1's numbers."""

import math

import pytest
import torch

from audio_diffusion_pytorch.ops import downsample, resample, upsample
from audio_diffusion_pytorch.ops.resample import _cached_kernels


def tone(frequency, length):
    """A sine of so many cycles a sample."""
    return torch.sin(2 * math.pi * frequency * torch.arange(length, dtype=torch.float64) + 0.4)


def upstreams(x, factor_in, factor_out, rolloff=0.99, width=6):
    """The definition, sample by sample: a windowed sinc around each place of the output."""
    cutoff = min(factor_in, factor_out) * rolloff / factor_in  # cycles per two input samples
    out = torch.zeros(*x.shape[:-1], x.shape[-1] * factor_out // factor_in, dtype=x.dtype)
    place = torch.arange(x.shape[-1], dtype=x.dtype)
    for n in range(out.shape[-1]):
        angle = ((place - n * factor_in / factor_out) * cutoff).clamp(-width, width)
        window = torch.cos(math.pi * angle / width / 2).square()
        out[..., n] = (x * torch.sinc(angle) * window * cutoff).sum(-1)
    return out


@pytest.mark.parametrize("factors", [(1, 4), (4, 1), (1, 1), (3, 2), (2, 5), (6, 4)])
def test_equals_the_sum_under_the_windowed_sinc(factors):
    x = torch.randn(2, 3, 61, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(resample(x, *factors), upstreams(x, *factors))


def test_options_are_those_of_the_definition():
    x = torch.randn(1, 1, 50, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    found = resample(x, 2, 1, rolloff=0.8, lowpass_filter_width=11)
    torch.testing.assert_close(found, upstreams(x, 2, 1, rolloff=0.8, width=11))


@pytest.mark.parametrize("factor", [2, 3, 4, 8])
def test_a_low_tone_goes_down_and_up_again(factor):
    x = tone(0.11 / factor, 2000)
    low = downsample(x, factor)
    assert (low - x[::factor][: len(low)])[50:-50].abs().max() < 0.02
    assert (upsample(low, factor) - x[: factor * len(low)])[200:-200].abs().max() < 0.02


def test_a_tone_above_the_new_nyquist_frequency_vanishes():
    assert downsample(tone(0.31, 2000), 4)[50:-50].abs().max() < 1e-3


@pytest.mark.parametrize("length", [1, 2, 3, 5, 17, 64, 129, 4096])
def test_lengths(length):
    x = torch.randn(2, 1, length)
    assert upsample(x, 4).shape == (2, 1, 4 * length)
    assert downsample(x, 4).shape == (2, 1, length // 4)
    assert resample(x, 2, 3).shape == (2, 1, length * 3 // 2)


def test_keeps_dtype_axes_and_gradient():
    for dtype in (torch.float64, torch.bfloat16):
        assert upsample(torch.ones(8, dtype=dtype), 2).dtype == dtype
    x = torch.randn(2, 30, requires_grad=True)
    upsample(x, 2).sum().backward()
    assert x.grad.abs().min() > 0


def test_kernels_are_kept_per_dtype_and_made_outside_inference_mode():
    _cached_kernels.cache_clear()
    with torch.inference_mode():
        upsample(torch.randn(9), 5)
    before = _cached_kernels.cache_info()
    x = torch.randn(9, requires_grad=True)
    upsample(x, 5).sum().backward()  # inference tensors would refuse
    upsample(torch.randn(9).double(), 5)
    after = _cached_kernels.cache_info()
    assert (after.hits - before.hits, after.misses - before.misses) == (1, 1)


@pytest.mark.parametrize(
    "arguments", [(0, 1), (1, -2), (1, 2, 0.0), (1, 2, 1.2), (1, 2, 0.9, 0)], ids=str
)
def test_refuses_what_it_cannot_do(arguments):
    with pytest.raises(ValueError, match="must"):
        resample(torch.zeros(8), *arguments)
