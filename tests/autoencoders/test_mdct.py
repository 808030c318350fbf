"""MDCT: an exact, orthonormal change of basis at any length."""

import copy
import math
import pickle

import pytest
import torch

from audio_diffusion_pytorch.autoencoders import MDCT
from audio_diffusion_pytorch.data import read_audio


def snr(x, y):
    """Signal-to-error ratio in dB."""
    return 10 * torch.log10(x.square().sum() / (x - y).square().sum().clamp_min(1e-300)).item()


@pytest.mark.parametrize("num_bins", [2, 8, 128, 512])
@pytest.mark.parametrize("length", [1, 7, 127, 128, 129, 1000, 16384])
@pytest.mark.parametrize("channels", [1, 2])
def test_round_trip_is_exact_at_any_length(num_bins, length, channels):
    transform = MDCT(num_bins, channels)
    for dtype, wanted in ((torch.float32, 100), (torch.float64, 120)):
        x = torch.randn(3, channels, length, dtype=dtype)
        y, losses = transform(x)
        assert y.shape == x.shape and y.dtype == dtype and losses == {}
        assert snr(x, y) > wanted


def test_round_trip_of_a_piano_note(piano_folder):
    x, _ = read_audio(piano_folder / "069_A4_ff.flac")
    y, _ = MDCT(128)(x[None])
    assert snr(x[None], y) > 100


def test_energy_is_kept_and_white_noise_stays_white():
    x = torch.randn(2, 1, 128 * 256, dtype=torch.float64)
    z = MDCT(128).encode(x)
    assert z.shape == (2, 128, 256)
    torch.testing.assert_close(z.square().sum(), x.square().sum())
    covariance = torch.cov(z.transpose(0, 1).flatten(1))
    assert (covariance.diag() - 1).abs().max() < 0.3
    off = covariance - covariance.diag().diag()
    assert off.abs().max() < 0.25  # 512 frames: 5.6 standard errors


def test_decode_is_the_transpose_of_encode():
    """An orthonormal transform's inverse is its transpose: <encode x, z> = <x, decode z>."""
    transform = MDCT(16, channels=2)
    x = torch.randn(1, 2, 16 * 9, dtype=torch.float64)
    z = torch.randn(1, 32, 9, dtype=torch.float64)
    torch.testing.assert_close((transform.encode(x) * z).sum(), (x * transform.decode(z)).sum())


@pytest.mark.parametrize("row", [3, 40, 100])
def test_a_tone_lands_in_the_rows_of_its_frequency(row):
    """A sine at the centre of row k: the rows beside it hold it, those 8 rows away -40 dB of it."""
    frequency = (row + 0.5) / 128 / 2  # cycles per sample
    x = torch.sin(2 * math.pi * frequency * torch.arange(128 * 64, dtype=torch.float64))
    power = MDCT(128).encode(x[None, None])[0, :, 2:-2].square().mean(1)
    assert power.argmax() in (row - 1, row, row + 1)
    far = torch.cat([power[: max(0, row - 8)], power[row + 9 :]])
    assert far.max() < 1e-4 * power.max()


def test_half_precision_modules_and_autocast_stay_exact():
    x = torch.randn(1, 1, 4096)
    transform = MDCT(128).to(torch.bfloat16)
    with torch.autocast("cpu", torch.bfloat16):
        assert snr(x, transform(x)[0]) > 100


def test_copies_and_attributes():
    transform = MDCT(64, channels=2, sample_rate=44100)
    assert (transform.latent_channels, transform.downsample_factor) == (128, 64)
    assert transform.sample_rate == 44100 and not transform.state_dict()
    x = torch.randn(1, 2, 500)
    z = transform.encode(x)
    for other in (copy.deepcopy(transform), pickle.loads(pickle.dumps(transform))):
        assert torch.equal(other.encode(x), z)


def test_gradients_flow_both_ways():
    x = torch.randn(1, 1, 256, requires_grad=True)
    MDCT(32)(x)[0].square().sum().backward()
    torch.testing.assert_close(x.grad, 2 * x.detach(), atol=1e-4, rtol=1e-4)


def test_wrong_input_is_named():
    with pytest.raises(ValueError, match="even number"):
        MDCT(7)
    with pytest.raises(ValueError, match=r"set channels=2"):
        MDCT(8).encode(torch.zeros(1, 2, 64))
    with pytest.raises(ValueError, match=r"\(b, 8, frames\)"):
        MDCT(8).decode(torch.zeros(1, 9, 4))


@pytest.mark.filterwarnings("error")
def test_it_compiles_whole_without_a_warning():
    torch._dynamo.reset()
    transform = MDCT(16)
    x = torch.randn(1, 1, 100)
    compiled = torch.compile(transform, backend="eager", fullgraph=True)
    assert torch.equal(compiled(x)[0], transform(x)[0])


def test_the_dtype_of_one_call_does_not_blur_the_next():
    transform, x = MDCT(128), torch.randn(1, 1, 4096, dtype=torch.float64)
    for half in (transform.to(torch.float16), copy.deepcopy(transform).bfloat16()):
        half(x.bfloat16())
        assert snr(x, half(x)[0]) > 120


def test_made_without_memory_it_still_knows_its_matrix():
    x = torch.randn(1, 1, 64)
    with torch.device("meta"):
        transform = MDCT(16)
    assert snr(x, transform(x)[0]) > 100
