"""STFT: exact at any length, energy kept, every row the frequency that its docstring says."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Generator

from audio_diffusion_pytorch.autoencoders import STFT
from audio_diffusion_pytorch.data import read_audio


def noise(*shape, dtype=torch.float64, seed=0):
    return torch.randn(*shape, generator=Generator().manual_seed(seed), dtype=dtype)


def snr(x, y):
    """Signal-to-error ratio in dB."""
    return 10 * torch.log10(x.square().sum() / (x - y).square().sum().clamp_min(1e-300)).item()


@pytest.mark.parametrize(("window", "hop"), [(4, 1), (4, 2), (6, 2), (6, 3), (64, 16), (512, 256)])
@pytest.mark.parametrize("length", [1, 2, 7, 127, 128, 129, 1000, 4096])
@pytest.mark.parametrize("channels", [1, 2])
def test_round_trip_is_exact_at_any_length(window, hop, length, channels):
    transform = STFT(window, hop, channels)
    for dtype, wanted in ((torch.float32, 100), (torch.float64, 240)):
        x = noise(3, channels, length, dtype=dtype)
        z = transform.encode(x)
        assert z.shape == (3, channels * window, -(-length // hop)) and z.dtype == dtype
        whole = transform.decode(z)
        assert whole.shape == (3, channels, z.shape[-1] * hop)
        assert torch.equal(transform.decode(z, length), whole[..., :length])
        y, losses = transform(x)
        assert y.shape == x.shape and y.dtype == dtype and losses == {}
        assert snr(x, y) > wanted


def test_round_trip_of_a_piano_note(piano_folder):
    x, _ = read_audio(piano_folder / "069_A4_ff.flac")
    assert snr(x[None], STFT(256, 128)(x[None])[0]) > 100


@pytest.mark.parametrize(("window", "hop"), [(64, 32), (64, 16), (6, 2)])
def test_energy_is_kept_where_all_frames_overlap(window, hop):
    x = noise(2, 1, window * 20)
    x[..., :window] = x[..., -window:] = 0
    z = STFT(window, hop).encode(x)
    torch.testing.assert_close(z.square().sum((1, 2)), x.square().sum((1, 2)))


@pytest.mark.parametrize(("window", "hop"), [(16, 8), (16, 4)])
def test_white_noise_has_the_promised_variance_in_every_row(window, hop):
    z = STFT(window, hop).encode(noise(1, 1, 40_000 * hop))[0, :, 4:-4]
    # Neighbouring frames share samples: some 20,000 independent ones, a standard error of 1 %.
    torch.testing.assert_close(
        z.square().mean(1), torch.full((window,), hop / window).double(), rtol=0.05, atol=0
    )
    assert z.mean(1).abs().max() < 0.02


@pytest.mark.parametrize(("window", "hop"), [(64, 32), (64, 16)])
@pytest.mark.parametrize("k", [1, 7, 20, 31])
def test_a_sine_at_a_bin_lands_in_its_two_rows(window, hop, k):
    """A sine window leaves 8 / pi^2 of a sine's power in the bin, a ninth of that beside it."""
    places = torch.arange(window * 30, dtype=torch.float64)
    x = torch.sin(2 * math.pi * k / window * places + 0.3)[None, None]
    z = STFT(window, hop).encode(x)[0, :, window // hop : -window // hop]
    power = z[1:-1].square().mean(1).unflatten(0, (-1, 2)).sum(1)  # of bins 1, 2, ...
    assert power.argmax() == k - 1
    if 1 < k < window // 2 - 1:  # next to the ends its mirror image adds to it
        whole = z.square().mean(1).sum()
        assert (power[k - 1] / whole).item() == pytest.approx(8 / math.pi**2, rel=0.02)
        assert (power[k] / power[k - 1]).item() == pytest.approx(1 / 9, rel=0.02)


def test_the_outer_rows_are_zero_frequency_and_nyquist():
    window = 32
    for row, x in ((0, torch.ones(640)), (-1, torch.ones(640) - 2 * (torch.arange(640) % 2))):
        z = STFT(window, 16).encode(x.double()[None, None])[0, :, 4:-4]
        assert z[row].square().mean() > 0.8 * z.square().sum(0).mean()
        assert z.square().mean(1).argmax() == row % window


@pytest.mark.parametrize(("window", "hop"), [(32, 16), (32, 8), (6, 3)])
def test_the_interior_is_that_of_torch_stft(window, hop):
    x, before = noise(2, 500), (window - hop) // 2
    sine = torch.sin(math.pi * (torch.arange(window, dtype=torch.float64) + 0.5) / window)
    first = -(-before // hop)  # the first frame that begins inside
    spectrum = torch.stft(
        x[:, first * hop - before :], window, hop, window=sine * math.sqrt(2 * hop / window),
        center=False, normalized=True, return_complex=True,
    )  # fmt: skip
    z = STFT(window, hop).encode(x[:, None])[..., first : first + spectrum.shape[-1]]
    torch.testing.assert_close(z[:, 0], spectrum[:, 0].real)
    torch.testing.assert_close(z[:, -1], spectrum[:, -1].real)
    torch.testing.assert_close(z[:, 1:-1:2], math.sqrt(2) * spectrum[:, 1:-1].real)
    torch.testing.assert_close(z[:, 2:-1:2], math.sqrt(2) * spectrum[:, 1:-1].imag)


@pytest.mark.parametrize("overlap", [2, 4])
def test_errors_of_a_model_are_averaged_on_the_way_back(overlap):
    """White errors in the rows come back as loud, though the signal's rows are quieter."""
    transform = STFT(64, 64 // overlap)
    x = noise(1, 1, 64 * 400)
    z = transform.encode(x)
    error = transform.decode(z + noise(*z.shape, seed=1) * z.std() / 10) - x
    inside = error[..., 64:-64].square().mean().sqrt()
    assert inside.item() == pytest.approx(0.1 / math.sqrt(overlap), rel=0.03)


def test_decoding_is_least_squares():
    """Of spectra that no audio has, the nearest ones that some audio has come back."""
    transform = STFT(32, 8)
    z = noise(2, 32, 50)
    nearest = transform.encode(transform.decode(z))
    torch.testing.assert_close(transform.encode(transform.decode(nearest)), nearest)
    left = (z - nearest)[..., 4:-4]
    probe = torch.zeros(2, 1, 400, dtype=torch.float64)
    probe[..., 64:-64] = noise(2, 1, 272, seed=1)  # where all frames overlap
    seen = transform.encode(probe)[..., 4:-4]
    assert (left * seen).sum().abs() < 1e-9 * left.norm() * seen.norm()
    assert left.norm() > 0.5 * z.norm()


def test_channels_do_not_mix():
    x = noise(1, 2, 300)
    both, transform = STFT(16, 8, channels=2).encode(x), STFT(16, 8)
    for channel in (0, 1):
        alone = transform.encode(x[:, channel : channel + 1])
        torch.testing.assert_close(both[:, 16 * channel : 16 * channel + 16], alone)


def test_half_precision_is_kept_outside_and_exact_inside():
    x = noise(1, 1, 4096, dtype=torch.float32)
    transform = STFT(128, 64).to(torch.bfloat16)
    with torch.autocast("cpu", torch.bfloat16):
        assert snr(x, transform(x)[0]) > 100
    for dtype, wanted in ((torch.bfloat16, 45), (torch.float16, 60)):
        z = transform.encode(x.to(dtype))
        assert z.dtype == dtype and transform.decode(z).dtype == dtype
        assert snr(x.to(dtype).float(), transform.decode(z).float()) > wanted


def test_gradients_flow_both_ways():
    x = noise(1, 1, 256).requires_grad_()
    STFT(32, 8)(x)[0].square().sum().backward()
    torch.testing.assert_close(x.grad, 2 * x.detach())


def test_attributes():
    transform = STFT(64, 16, channels=2, sample_rate=44100)
    assert (transform.latent_channels, transform.downsample_factor) == (128, 16)
    assert transform.sample_rate == 44100 and not transform.state_dict()


@pytest.mark.parametrize(("window", "hop"), [(7, 7), (8, 3), (8, 8), (8, 16), (2, 1), (8, 0)])
def test_a_hop_that_does_not_fit_is_refused(window, hop):
    with pytest.raises(ValueError, match=rf"got window={window} and hop={hop}: try window="):
        STFT(window, hop)


def test_wrong_input_is_named():
    with pytest.raises(ValueError, match=r"set channels=2"):
        STFT(8, 4).encode(torch.zeros(1, 2, 64))
    with pytest.raises(ValueError, match=r"\(b, 1, t\), got \(1, 64\)"):
        STFT(8, 4).encode(torch.zeros(1, 64))
    with pytest.raises(ValueError, match=r"\(b, 8, frames\)"):
        STFT(8, 4).decode(torch.zeros(1, 9, 4))
