"""The normaliser: unit variance in, exact scale out."""

import pytest
import torch
from safetensors.torch import load_file, save_file

from audio_diffusion_pytorch.autoencoders import MDCT, LatentNormalizer
from audio_diffusion_pytorch.data import read_audio


def notes(piano_folder):
    files = sorted(piano_folder.glob("*_ff.flac"))[::8]
    return [MDCT(32).encode(read_audio(f, num_frames=8192)[0][None]) for f in files]


def test_piano_spectra_become_unit_variance_and_come_back(piano_folder):
    latents = notes(piano_folder)
    normalizer = LatentNormalizer(32, floor=0.0).fit(latents)
    z = torch.cat(latents)
    scaled = normalizer.normalize(z)
    assert scaled.mean((0, 2)).abs().max() < 1e-4
    torch.testing.assert_close(scaled.std((0, 2), correction=0), torch.ones(32))
    torch.testing.assert_close(normalizer.denormalize(scaled), z, atol=1e-6, rtol=1e-5)


def test_one_pass_over_uneven_batches_equals_all_at_once(piano_folder):
    latents = notes(piano_folder)
    uneven = LatentNormalizer(32).fit([latents[0], torch.cat(latents[1:])[..., :100]])
    flat = torch.cat([latents[0][0], *torch.cat(latents[1:])[..., :100]], dim=1)
    torch.testing.assert_close(uneven.mean, flat.mean(1))
    floor = 1e-3 * flat.std(1, correction=0).max()
    torch.testing.assert_close(uneven.std, flat.std(1, correction=0).clamp_min(floor))


def test_quiet_channels_are_not_blown_up():
    z = torch.randn(2, 2, 1000)
    z[:, 1] *= 1e-9
    normalizer = LatentNormalizer(2, floor=1e-2).fit([z])
    assert normalizer.normalize(z)[:, 1].abs().max() < 1e-5


@pytest.mark.parametrize("whitening", [0.0, 0.5, 1.0])
def test_whitening_sets_how_much_of_their_loudness_channels_keep(whitening):
    """Deviations keep the power 1 - whitening of themselves; together they stay at one."""
    gains = torch.tensor([4.0, 1.0, 0.25])
    z = torch.randn(8, 3, 5000) * gains[:, None]
    scaled = LatentNormalizer(3, whitening=whitening).fit([z]).normalize(z)
    std = scaled.std((0, 2))
    torch.testing.assert_close(std / std[1], gains ** (1 - whitening), atol=0, rtol=0.02)
    torch.testing.assert_close(scaled.square().mean(), torch.tensor(1.0), atol=1e-3, rtol=0)
    with pytest.raises(ValueError, match="whitening"):
        LatentNormalizer(3, whitening=1.5)


def test_statistics_travel_with_the_weights(tmp_path):
    fitted = LatentNormalizer(4).fit([torch.randn(2, 4, 50)])
    save_file(fitted.state_dict(), tmp_path / "weights.safetensors")
    other = LatentNormalizer(4)
    other.load_state_dict(load_file(tmp_path / "weights.safetensors"))
    z = torch.randn(1, 4, 9)
    assert torch.equal(other.normalize(z), fitted.normalize(z))


@pytest.mark.parametrize(
    ("latents", "words"),
    [
        ([], "at least one batch"),
        ([torch.zeros(1, 3, 5)], r"\(b, 2, t\)"),
        ([torch.full((1, 2, 5), float("nan"))], "NaN"),
        ([torch.zeros(1, 2, 5)], "silent"),
    ],
)
def test_bad_latents_are_named(latents, words):
    with pytest.raises(ValueError, match=words):
        LatentNormalizer(2).fit(latents)


def test_use_before_fit_is_refused():
    with pytest.raises(ValueError, match="fit_normalizer"):
        LatentNormalizer(2).normalize(torch.zeros(1, 2, 3))
