"""Checks of latents in closed form, and on the real spaces that we have."""

from __future__ import annotations

from math import expm1, log10, sqrt

import pytest
import torch
from torch import nn
from torch.utils.data import default_collate

from audio_diffusion_pytorch import MDCT, Companded, DiffusionModel, LatentNormalizer, UNetV0
from audio_diffusion_pytorch.autoencoders import STFT
from audio_diffusion_pytorch.data import AudioFolder, Clip
from audio_diffusion_pytorch.diagnostics import (
    channel_statistics,
    check_dead_latents,
    check_decoder_robustness,
    check_duplicate_latents,
    check_encoder_draws,
    check_latent_dimensions,
    check_latent_scale,
    check_latent_values,
    check_latent_whiteness,
    check_round_trip,
    examine_code,
    examine_latents,
    findings_text,
    worst,
)
from audio_diffusion_pytorch.diffusion import KDiffusion


def white(clips=16, channels=6, frames=200, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(clips, channels, frames, generator=generator)


def smooth(clips=16, channels=6, frames=200, seed=0):
    """Channels that go on for many frames, of unit variance."""
    z = white(clips, channels, frames + 8, seed).unfold(-1, 9, 1).sum(-1)
    return z / z.std()


def small(channels, autoencoder=None, normalizer=None, **others):
    return DiffusionModel(
        UNetV0, autoencoder=autoencoder, normalizer=normalizer, in_channels=channels,
        channels=(8, 8), factors=(1, 2), items=(1, 1), modulation_features=8, **others,
    )  # fmt: skip


def clip(audio):
    return Clip(audio, torch.empty(len(audio), 0).long(), ["x"] * len(audio))


def named(findings):
    return {finding.check: finding for finding in findings}


# Numbers


def test_statistics_of_known_channels():
    z = torch.stack([torch.tensor([1.0, -1.0] * 50), 3 + torch.tensor([0.0, 2.0] * 50)])[None]
    found = channel_statistics(z)
    assert found.mean.tolist() == [0, 4] and found.std.tolist() == [1, 1]
    assert found.low.tolist() == [-1, 3] and found.high.tolist() == [1, 5]
    assert found.kurtosis.tolist() == pytest.approx([1, 1])  # two values, each half of the time
    assert found.rms == pytest.approx(sqrt((1 + 17) / 2)) and found.overall_std == 1
    normal = channel_statistics(white(frames=1000)).kurtosis
    assert (normal - 3).abs().max() < 0.2
    for wrong in (torch.zeros(3), torch.zeros(0, 3, 5)):
        with pytest.raises(ValueError, match="latents must be"):
            channel_statistics(wrong)


@pytest.mark.parametrize(
    ("gain", "verdict"),
    [(1, "ok"), (0.5, "ok"), (1.5, "ok"), (1.8, "suspicious"), (4, "wrong"), (0.2, "suspicious"),
     (0.05, "wrong"), (0, "wrong"), (float("nan"), "wrong")],
)  # fmt: skip
def test_scale(gain, verdict):
    found = check_latent_scale(gain * white() / white().square().mean().sqrt())
    assert found.verdict == verdict
    if 0 < gain < 10:
        assert found.figures["off_db"] == pytest.approx(20 * log10(gain), abs=1e-3)
    if gain == 4:
        assert "the latents' level is 4" in found.message and "12.0 dB too loud" in found.message
        assert "divide by 4," in found.remedy


def test_an_offset_counts_and_is_taken_off_first():
    z = white() + 5
    found = check_latent_scale(z + 5 - z.mean())
    assert found.verdict == "wrong" and found.remedy.startswith("subtract 5")
    assert "divide by 1," in found.remedy


def test_the_level_expected_is_that_of_the_parameterization():
    model = small(6, diffusion_t=KDiffusion, diffusion_sigma_data=0.25)
    found = named(examine_latents(model, clip(0.25 * smooth())))["latent scale"]
    assert found.verdict == "ok" and found.figures["expected_rms"] == 0.25
    assert named(examine_latents(model, clip(smooth())))["latent scale"].verdict == "wrong"


def test_single_values():
    z = white()
    assert check_latent_values(z).figures["kurtosis"] == pytest.approx(3, abs=0.1)
    z[0, 0, 0] = 100.0
    found = check_latent_values(z)
    assert found.verdict == "suspicious" and "Companded" in found.remedy
    z[0, 0, 0] = torch.inf
    found = check_latent_values(z)
    assert found.verdict == "wrong" and "1 of 19200" in found.message
    assert [finding.check for finding in examine_code(z)] == ["latent values"]


def test_constant_channels():
    z = smooth()
    z[:, 2], z[:, 4] = 0.7, 1e-7 * z[:, 4]
    found = check_dead_latents(z)
    assert found.verdict == "suspicious" and found.figures["constant_channels"] == 2
    assert "channels 2, 4" in found.message
    z[:, 0] = -1.0
    assert check_dead_latents(z).verdict == "wrong"  # half of them
    assert check_dead_latents(smooth()).verdict == "ok"


@pytest.mark.parametrize("noisy", [False, True])
def test_channels_drowned_in_the_posterior(noisy):
    """On either side of 0.02 nat a value, whether encode gives means or draws."""
    means, drawn = smooth(frames=2000), white(frames=2000, seed=1)
    edge = sqrt(expm1(2 * 0.02))
    for share, dead in ((0.8, 6), (1.3, 0)):
        z = share * edge * means
        found = check_dead_latents(z + drawn if noisy else z, drawn, noisy=noisy)
        assert found.figures["noise_only_channels"] == dead
    with pytest.raises(ValueError, match="shape"):
        check_dead_latents(means, drawn[:1])


def test_duplicates_in_any_size_and_sign():
    z = smooth()
    assert check_duplicate_latents(z).verdict == "ok"
    z[:, 3], z[:, 5] = -7 * z[:, 1], z[:, 1]
    found = check_duplicate_latents(z)
    assert found.verdict == "suspicious" and "channels 3, 5" in found.message
    assert check_duplicate_latents(z[:, [1, 3, 5]]).verdict == "wrong"
    assert check_duplicate_latents(z[:1, :, :8]).verdict == "ok"  # too few frames to tell
    many = torch.cat([z[:, :4], smooth(channels=12, seed=1)], 1)
    assert check_duplicate_latents(many).verdict == "ok"  # one of 16 does no harm
    assert check_duplicate_latents(many).figures["duplicate_channels"] == 1
    near = z[:, 1:2] + 0.02 * white(channels=1)
    assert check_duplicate_latents(torch.cat([z[:, 1:2], near], 1)).verdict == "ok"


def test_a_click_in_all_channels_makes_no_duplicates():
    z = white()
    z[0, :, 0] = 1e5
    assert check_duplicate_latents(z).figures["largest_correlation"] > 0.99999
    assert check_duplicate_latents(z).verdict == "ok"


def test_mono_in_stereo_is_told(piano):
    audio = piano.train.audio[::8].expand(-1, 2, -1)
    found = check_duplicate_latents(MDCT(64, channels=2).encode(audio))
    assert found.verdict == "suspicious" and found.figures["duplicate_channels"] == 64
    assert "data.channels=1" in found.remedy


def test_dimensions_of_a_known_covariance():
    """Powers 8, 1, 1 and 0: 8/10, 9/10, 1."""
    turn = torch.linalg.qr(white(1, 4, 4)[0])[0]
    z = white(64, 4, 500) * torch.tensor([8.0, 1.0, 1.0, 0.0]).sqrt()[:, None]
    found = check_latent_dimensions(turn @ z).figures
    assert found["effective_rank"] == pytest.approx(100 / 66, rel=0.02)
    assert found["dimensions_95_percent"] == 3 and found["dimensions_99_percent"] == 3
    narrow = torch.cat([white(64, 1, 100), 1e-3 * white(64, 99, 100)], 1)
    assert check_latent_dimensions(narrow).verdict == "suspicious"
    assert check_latent_dimensions(torch.ones(2, 4, 10)).verdict == "wrong"
    assert check_latent_dimensions(torch.ones(1, 4, 1)).verdict == "ok"


def test_whiteness_needs_all_three():
    assert check_latent_whiteness(white()).verdict == "wrong"
    assert check_latent_whiteness(white()).figures["noise_channels"] == 6
    in_time = smooth()
    across = torch.linalg.qr(white(1, 6, 6)[0])[0] @ (white() * torch.arange(1, 7)[:, None])
    tails = white() * white(seed=1).abs()
    for z in (in_time, across, tails):
        assert check_latent_whiteness(z).verdict == "ok", check_latent_whiteness(z).text
    mixed = torch.cat([smooth(channels=4), white(channels=2, seed=2)], 1)
    assert check_latent_whiteness(mixed).verdict == "suspicious"
    assert "too few" in check_latent_whiteness(white(1, 6, 10)).message


def test_noise_in_an_exact_transform_is_that_of_the_recordings():
    found = check_latent_whiteness(white(), exact=True)
    assert found.verdict == "suspicious"
    assert "data.sample_rate" in found.remedy and "KL" not in found.remedy
    hiss = Clip(0.1 * white(8, 1, 16384), torch.empty(8, 0).long(), [""] * 8)
    normalizer = LatentNormalizer(64)
    model = small(64, MDCT(64), normalizer)
    model.fit_normalizer([hiss.audio])
    said = next(f for f in examine_latents(model, hiss) if f.check == "latents are noise")
    assert said.verdict == "suspicious" and said.remedy == found.remedy


def test_share_that_is_drawn():
    z, drawn = smooth(frames=2000), white(frames=2000, seed=1)
    for gain, verdict in ((0.0, "ok"), (0.2, "ok"), (0.5, "suspicious"), (0.9, "wrong")):
        found = check_encoder_draws(z, gain * drawn)
        assert found.verdict == verdict
        assert found.figures["drawn_share"] == pytest.approx(gain**2, rel=0.02)


# Decoders


def test_a_decoder_that_hands_noise_on_breaks_at_the_level_that_counts_as_broken():
    """An orthonormal decoder: noise n dB under the latents is noise n dB under the sound."""
    space, z = MDCT(16), smooth(4, 16, 100)
    found = check_decoder_robustness(space.decode, z)
    assert found.verdict == "ok"
    assert found.figures["breaks_at_db"] == pytest.approx(-10, abs=0.1)
    worse = check_decoder_robustness(lambda x: space.decode(z + 30 * (x - z)), z)
    assert worse.verdict == "suspicious"
    assert worse.figures["breaks_at_db"] == pytest.approx(-10 - 20 * log10(30), abs=0.1)
    gone = check_decoder_robustness(lambda x: space.decode(z + 1000 * (x - z)), z)
    assert gone.verdict == "wrong" and gone.figures["breaks_at_db"] == -60  # the lowest tried


def test_a_decoder_that_does_not_listen():
    space, z = MDCT(16), smooth(4, 16, 100)
    found = check_decoder_robustness(lambda x: space.decode(z + 0.05 * (x - z)), z)
    assert found.verdict == "wrong" and "does not listen" in found.message


def test_a_decoder_with_noise_of_its_own_is_judged_by_its_spectrum():
    space, z = MDCT(16), smooth(4, 16, 400)
    generator = torch.Generator().manual_seed(0)

    def decode(x):
        noise = torch.randn(x.shape, generator=generator)
        return space.decode(0.3 * noise + x)

    assert check_decoder_robustness(decode, z).verdict == "ok"


def test_the_networks_error_and_sounds_stand_beside_it():
    space, z = MDCT(16), smooth(4, 16, 100)
    found = check_decoder_robustness(space.decode, z, model_error_db=-17.2, sample_rate=8000)
    assert "the network's own error is -17.2 dB" in found.message
    assert found.figures["model_error_db"] == -17.2
    assert [sound.title for sound in found.sounds] == ["-40 dB", "-20 dB", "0 dB"]


def test_round_trips(piano):
    audio = piano.train.audio[::16]
    assert check_round_trip(audio, audio).verdict == "ok"
    assert check_round_trip(audio, -audio).verdict == "ok"  # spectra are the same
    noise = 0.3 * white(len(audio), 1, audio.shape[-1])
    assert check_round_trip(audio, noise).verdict == "wrong"
    longer = torch.nn.functional.pad(audio, (0, 100))
    assert check_round_trip(audio, longer).figures["snr_db"] > 100
    broken = audio * torch.nan
    assert check_round_trip(audio, broken).verdict == "wrong"


# Whole models


def test_no_false_alarm(healthy):
    for clips in (healthy.train, healthy.held_back):
        findings = examine_latents(healthy.model, clips)
        assert worst(findings) == "ok", findings_text(findings)
        assert len(findings) == 9


@pytest.mark.parametrize("rate", [16000, 44100])
def test_no_false_alarm_on_real_recordings(rate):
    """Companded spaces, whitened as the recipes do, also of sounds that end far below Nyquist."""
    from healthy_runs import PIANO

    data = AudioFolder(PIANO, rate, 16384)
    clips = default_collate([data[place] for place in range(0, len(data), 4)])
    clips = Clip(clips.audio, torch.empty(len(clips.audio), 0).long(), clips.name)
    for space in (Companded(MDCT(128)), Companded(STFT(256, 128))):
        for whitening in (0.5, 1.0):
            normalizer = LatentNormalizer(space.latent_channels, whitening=whitening)
            model = small(space.latent_channels, space, normalizer)
            model.fit_normalizer([clips.audio])
            findings = examine_latents(model, clips)
            assert worst(findings) == "ok", findings_text(findings)


def test_raw_audio_is_no_matter_of_latents():
    for channels in (1, 2):
        assert examine_latents(small(channels), clip(white(4, channels, 64))) == []
    assert len(examine_latents(small(6), clip(smooth()))) == 6


def test_a_normaliser_that_was_never_fitted():
    found = examine_latents(small(8, MDCT(8)), clip(white(4, 1, 64)))
    assert [finding.verdict for finding in found] == ["wrong"]
    assert "fit_normalizer" in found[0].remedy


def test_odd_clips(piano):
    model, sounds = small(8, MDCT(8)), piano.train.audio[::16]
    model.fit_normalizer([sounds])
    one = examine_latents(model, clip(sounds[1:2]))
    assert not {finding.check for finding in one if finding.verdict != "ok"} - {"latent scale"}
    assert len(examine_latents(model, clip(sounds[:1, :, :5]))) == 9  # one frame
    silent = named(examine_latents(model, clip(torch.zeros(2, 1, 256))))
    assert silent["dead latent channels"].verdict == "wrong" and "round trip" not in silent
    stereo = small(16, MDCT(8, channels=2))
    audio = torch.cat([sounds, sounds.flip(0)], 1)
    stereo.fit_normalizer([audio])
    assert worst(examine_latents(stereo, clip(audio))) == "ok"
    coarse = examine_latents(model.bfloat16(), clip(sounds))
    assert worst(coarse) == "ok", findings_text(coarse)


class Drawing(nn.Module):
    """An autoencoder of the protocol that draws from the global generator when asked to."""

    latent_channels, downsample_factor, sample_rate = 4, 4, None

    def __init__(self) -> None:
        super().__init__()
        self.inner = MDCT(4)

    def encode(self, x, *, sample=False, generator=None):
        z = self.inner.encode(x)
        return z + 0.01 * torch.randn(z.shape, generator=generator) if sample else z

    def decode(self, z):
        torch.rand(1)
        return self.inner.decode(z)


def test_nothing_is_changed_and_all_repeats():
    audio = smooth(8, 1, 2048)
    model = small(4, Drawing()).train()
    model.fit_normalizer([audio])
    model.net.eval()
    before = torch.get_rng_state()
    first, second = (examine_latents(model, clip(audio)) for _ in range(2))
    assert [a.to_dict() for a in first] == [b.to_dict() for b in second]
    assert torch.equal(torch.get_rng_state(), before)
    assert model.training and not model.net.training
