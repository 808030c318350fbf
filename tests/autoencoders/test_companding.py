"""Companding: an exact bend that tames the tails of a spectrum."""

import copy
import pickle

import pytest
import torch

from audio_diffusion_pytorch.autoencoders import MDCT, Companded
from audio_diffusion_pytorch.data import read_audio


@pytest.fixture
def note(piano_folder):
    return read_audio(piano_folder / "060_C4_ff.flac", num_frames=16384)[0][None]


def kurtosis(z):
    """Fourth moment over squared variance: 3 for a Gaussian."""
    return (z.pow(4).mean() / z.square().mean().square()).item()


@pytest.mark.parametrize("exponent", [0.3, 0.5, 1.0])
@pytest.mark.parametrize("length", [1, 1000, 16384])
def test_round_trip_is_exact(note, exponent, length):
    x = note[..., :length].double()
    y, losses = Companded(MDCT(64), exponent)(x)
    assert y.shape == x.shape and losses == {}
    torch.testing.assert_close(y, x, atol=1e-12, rtol=1e-9)


def test_float32_round_trip_of_a_note_exceeds_100_db(note):
    y, _ = Companded(MDCT(128))(note)
    error = (note - y).square().sum()
    assert 10 * torch.log10(note.square().sum() / error) > 100


def test_values_are_bent_by_the_power_and_keep_their_sign(note):
    z = MDCT(64).encode(note)
    bent = Companded(MDCT(64), 0.5).encode(note)
    torch.testing.assert_close(bent, z.sign() * z.abs().sqrt())


def test_tails_of_a_piano_spectrum_are_tamed(note):
    plain, bent = MDCT(128).encode(note), Companded(MDCT(128)).encode(note)
    assert kurtosis(plain) > 100 > 30 > kurtosis(bent)


def test_a_small_error_in_silence_becomes_a_far_smaller_one():
    """-40 dB of error on a zero coefficient is heard at -80 dB."""
    z = torch.full((1, 8, 4), 1e-2)
    assert Companded(MDCT(8)).decode(z).square().mean().sqrt().item() == pytest.approx(1e-4)


def test_it_takes_on_the_shape_of_what_is_inside():
    space = Companded(MDCT(32, channels=2, sample_rate=8000))
    assert (space.latent_channels, space.downsample_factor, space.sample_rate) == (64, 32, 8000)
    x = torch.sin(torch.arange(500.0)).expand(1, 2, -1)
    for other in (copy.deepcopy(space), pickle.loads(pickle.dumps(space))):
        assert torch.equal(other.encode(x), space.encode(x))


@pytest.mark.parametrize("exponent", [0.0, -1.0, 1.5])
def test_an_exponent_out_of_range_is_named(exponent):
    with pytest.raises(ValueError, match="exponent must lie in"):
        Companded(MDCT(8), exponent)
