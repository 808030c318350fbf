"""MelSpectrogram: upstream's numbers, any length, and items that do not meddle."""

import copy
import pickle
import warnings

import pytest
import torch
from torch import Generator

from audio_diffusion_pytorch.conditioning import MelSpectrogram

SIZES = {
    "n_fft": 64,
    "hop_length": 16,
    "win_length": 64,
    "sample_rate": 8000,
    "n_mel_channels": 12,
}


def noise(*shape, seed=0):
    return torch.randn(*shape, generator=Generator().manual_seed(seed))


@pytest.mark.parametrize("hop", [16, 15, 64])
@pytest.mark.parametrize("center", [False, True])
@pytest.mark.parametrize("length", [64, 100, 331])
def test_equals_torchaudio_on_the_padded_sound(hop, center, length):
    transforms = pytest.importorskip("torchaudio.transforms")
    x = noise(2, 3, length)
    sizes = {**SIZES, "hop_length": hop}
    padding = (64 - hop) // 2
    spectra = transforms.Spectrogram(64, 64, hop, center=center, power=None)
    mels = transforms.MelScale(12, 8000, n_stft=33)
    padded = torch.nn.functional.pad(x, (padding, padding), mode="reflect")
    wanted = mels(spectra(padded).abs())
    found = MelSpectrogram(**sizes, center=center)(x)
    assert found.shape[-1] == wanted.shape[-1]
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("sizes", [(64, 16), (65, 16), (64, 15), (16, 16)])
@pytest.mark.parametrize("length", [1, 2, 5, 15, 16, 17, 63, 64, 65, 200])
def test_any_length_has_a_frame_for_every_hop(sizes, length):
    n_fft, hop = sizes
    given = {**SIZES, "n_fft": n_fft, "hop_length": hop, "win_length": n_fft, "n_mel_channels": 4}
    mel = MelSpectrogram(**given)
    assert mel(noise(1, 2, length)).shape == (1, 2, 4, max(1, length // hop))
    whole = MelSpectrogram(**given, keep_tail=True)
    assert whole(noise(1, 2, length)).shape == (1, 2, 4, -(-length // hop))
    assert whole(noise(1, 2, length)).isfinite().all()


def test_keep_tail_changes_no_other_frame():
    x = noise(2, 100)
    found = MelSpectrogram(**SIZES, keep_tail=True)(x)
    torch.testing.assert_close(found[..., :5], MelSpectrogram(**SIZES)(x)[..., :5])


@pytest.mark.parametrize("shape", [(2, 1, 80), (3, 2, 80), (3, 80)])
def test_normalize_looks_at_no_other_item(shape):
    mel = MelSpectrogram(**SIZES, normalize=True)
    x = noise(*shape)
    alone = torch.cat([mel(item[None]) for item in x])
    torch.testing.assert_close(mel(x), alone)
    louder = x.clone()
    louder[0] *= 100
    torch.testing.assert_close(mel(louder), alone)  # nor at the loudness of its own
    assert mel(x).amax(tuple(range(1, x.ndim + 1))).allclose(torch.ones(len(x)))


def test_normalize_keeps_the_balance_of_channels():
    x = noise(1, 1, 80)
    found = MelSpectrogram(**SIZES, normalize=True)(torch.cat([x, x / 16], 1))
    torch.testing.assert_close(found[:, 1] + 1, (found[:, 0] + 1) / 2)  # the fourth root of 1/16


def test_silence_is_the_least_and_has_a_gradient_of_zero():
    x = torch.zeros(2, 1, 50, requires_grad=True)
    found = MelSpectrogram(**SIZES, normalize=True)(x)
    torch.testing.assert_close(found, torch.full_like(found, -1))
    found.sum().backward()
    assert x.grad.abs().max() == 0
    logarithm = MelSpectrogram(**SIZES, normalize_log=True)(x.detach())
    torch.testing.assert_close(logarithm, torch.full_like(logarithm, -11.512925))


@pytest.mark.parametrize(
    "options", [{}, {"normalize_log": True}, {"keep_tail": True}, {"normalize": True}], ids=str
)
@pytest.mark.parametrize("length", [1, 33, 160, 1000])
def test_invert_gives_a_sound_with_these_mels(options, length):
    mel = MelSpectrogram(**SIZES, **options)
    x = noise(2, 1, length)
    sound = mel.invert(mel(x), length, generator=Generator().manual_seed(0))
    assert sound.shape == x.shape
    if length >= 160:
        plain = MelSpectrogram(**SIZES)
        wanted = plain(x)
        if "normalize" in options:
            wanted = wanted / wanted.amax((1, 2, 3), True)
        assert (plain(sound) - wanted).norm() < 0.2 * wanted.norm()


def test_invert_refuses_a_length_of_other_frames():
    mel = MelSpectrogram(**SIZES)
    with pytest.raises(ValueError, match="96 samples have 6 frames"):
        mel.invert(torch.ones(12, 5), 96)
    with pytest.raises(ValueError, match="center=False"):
        MelSpectrogram(**SIZES, center=True).invert(torch.ones(12, 5))


def test_is_an_ordinary_module_without_weights():
    mel = MelSpectrogram(**SIZES)
    x = noise(1, 64)
    for twin in (copy.deepcopy(mel), pickle.loads(pickle.dumps(mel))):
        assert torch.equal(twin(x), mel(x))
    assert not mel.state_dict()
    files = {"to_spectrogram.window": torch.ones(64), "to_mel_scale.fb": torch.ones(33, 12)}
    mel.load_state_dict(files)  # of upstream's, strictly
    assert mel.to(torch.bfloat16)(x.bfloat16()).dtype == torch.bfloat16


def test_warns_of_channels_that_hear_nothing():
    with pytest.warns(UserWarning, match="of 40 mel channels lie between"):
        MelSpectrogram(**{**SIZES, "n_mel_channels": 40})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        MelSpectrogram(**SIZES)


def test_refuses_sizes_and_sounds_that_do_not_fit():
    with pytest.raises(ValueError, match="hop_length must be at most n_fft"):
        MelSpectrogram(**{**SIZES, "hop_length": 65})
    with pytest.raises(ValueError, match="no longer than n_fft"):
        MelSpectrogram(**{**SIZES, "win_length": 65})
    with pytest.raises(ValueError, match="at least one sample"):
        MelSpectrogram(**SIZES)(torch.zeros(1, 0))
