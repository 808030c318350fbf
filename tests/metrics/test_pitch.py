"""The pitch found is the pitch played: on every real note, on tones of all kinds, in noise."""

from __future__ import annotations

import copy
import math
import pickle
from collections.abc import Callable

import pytest
import torch
from torch import Generator, Tensor

from audio_diffusion_pytorch.metrics import (
    PitchAccuracy,
    cents,
    dominant_frequency,
    estimate_pitch,
    hz_to_midi,
    midi_to_hz,
)

RATE = 16000
FALLING = {partial: 1 / partial for partial in range(1, 41)}
STEEP = {partial: 1 / partial**2 for partial in range(1, 41)}
EVEN = dict.fromkeys(range(1, 13), 1.0)
TWO = {1: 1.0, 2: 0.7}
ODD = {partial: 1 / partial for partial in range(1, 41, 2)}
NO_FIRST = {partial: 1 / partial for partial in range(2, 41)}
NO_FIRST_TWO = {partial: 1 / partial for partial in range(3, 41)}


def frequencies(low: float, high: float, detune: float = 0.0) -> list[float]:
    notes = torch.arange(low, high, 4.3) + detune
    return midi_to_hz(notes).tolist()


def worst(audio: list[Tensor], wanted: list[float], rate: int = RATE) -> float:
    found = estimate_pitch(torch.stack(audio), rate).frequency
    return float(cents(found, torch.tensor(wanted)).abs().max())


def shaped_noise(audio: Tensor, snr_db: float, generator: Generator) -> Tensor:
    """Noise with the momentary spectrum of the sound, as a coarse generator leaves it."""
    window = torch.hann_window(512)
    sound = torch.stft(audio, 512, 128, window=window, return_complex=True)
    noise = torch.randn(audio.shape, generator=generator)
    grains = torch.stft(noise, 512, 128, window=window, return_complex=True) * sound.abs()
    noise = torch.istft(grains, 512, 128, window=window, length=audio.shape[-1])
    level = audio.square().mean(-1, keepdim=True) / noise.square().mean(-1, keepdim=True)
    return noise * level.sqrt() * 10 ** (-snr_db / 20)


def low_passed(audio: Tensor, cutoff: float) -> Tensor:
    spectrum = torch.fft.rfft(audio)
    hertz = torch.fft.rfftfreq(audio.shape[-1], 1 / RATE)
    return torch.fft.irfft(spectrum * (hertz < cutoff), n=audio.shape[-1])


@pytest.mark.parametrize("length", [32000, 16384, 8000, 4096])
def test_real_notes_have_the_pitch_of_their_key(piano, length):
    found = estimate_pitch(piano.audio[:, :length], RATE).frequency
    error = cents(found, midi_to_hz(piano.notes)).abs()
    assert len(error) == 226
    assert (error <= 50).double().mean() >= 0.98
    # The rest is the tuner's: the top two keys, B7 and C8, are 50 to 52 cents sharp.
    assert error.max() < 55
    assert piano.notes[error > 50].min() >= 107


def test_the_octaves_of_the_piano_are_stretched(piano):
    found = estimate_pitch(piano.audio[:, :16384], RATE).frequency
    sharp = cents(found, midi_to_hz(piano.notes))
    assert sharp[piano.notes >= 96].mean() > 15
    assert sharp[(piano.notes > 50) & (piano.notes < 75)].mean().abs() < 10
    assert sharp[piano.notes < 40].mean() < 0


def test_real_notes_are_found_in_noise_shaped_like_them(piano):
    audio = piano.audio[:, :16384]
    noisy = audio + shaped_noise(audio, 15, Generator().manual_seed(1))
    error = cents(estimate_pitch(noisy, RATE).frequency, midi_to_hz(piano.notes)).abs()
    assert (error <= 50).double().mean() >= 0.97
    assert (error <= 55).double().mean() >= 0.99


def test_real_notes_are_found_in_white_noise(piano):
    audio = piano.audio[:, :16384]
    noise = torch.randn(audio.shape, generator=Generator().manual_seed(2))
    noisy = audio + noise * audio.square().mean(-1, keepdim=True).sqrt() * 10 ** (-10 / 20)
    error = cents(estimate_pitch(noisy, RATE).frequency, midi_to_hz(piano.notes)).abs()
    assert (error <= 55).double().mean() >= 0.99


def test_real_notes_are_found_behind_a_low_pass(piano):
    low = piano.notes < 96
    audio = low_passed(piano.audio[low, :16384], 4000.0)
    error = cents(estimate_pitch(audio, RATE).frequency, midi_to_hz(piano.notes[low])).abs()
    assert (error <= 50).double().mean() >= 0.99


@pytest.mark.parametrize(
    ("amplitudes", "top"),
    [
        ({1: 1.0}, 108),
        (TWO, 96),
        (FALLING, 108),
        (STEEP, 108),
        (EVEN, 108),
        (ODD, 108),
        (NO_FIRST, 80),
        (NO_FIRST_TWO, 72),
    ],
    ids=["sine", "two", "falling", "steep", "even", "odd", "no-first", "no-first-two"],
)
def test_tones_of_many_timbres_are_found(make_tone, amplitudes, top):
    wanted = frequencies(24, top)
    assert worst([make_tone(f, amplitudes) for f in wanted], wanted) < 10


@pytest.mark.parametrize("snr_db", [20.0, 10.0])
@pytest.mark.parametrize("amplitudes", [{1: 1.0}, FALLING], ids=["sine", "falling"])
def test_tones_are_found_in_white_noise(make_tone, amplitudes, snr_db):
    wanted = frequencies(24, 108)
    assert worst([make_tone(f, amplitudes, snr_db=snr_db) for f in wanted], wanted) < 25


@pytest.mark.parametrize("detune", [-0.3, 0.3])
def test_detuning_is_measured_not_rounded_to_keys(make_tone, detune):
    wanted = frequencies(24, 108, detune)
    assert worst([make_tone(f, FALLING) for f in wanted], wanted) < 10


@pytest.mark.parametrize("stretch", [1e-4, 4e-4, 1e-3])
def test_stretched_partials_of_strings_do_not_mislead(make_tone, stretch):
    wanted = frequencies(24, 90)
    tones = [make_tone(f, FALLING, stretch=stretch, decay=2 + f / 300) for f in wanted]
    assert worst(tones, wanted) < 20


@pytest.mark.parametrize("rate", [8000, 22050, 44100, 48000])
def test_other_sample_rates_give_the_same_pitch(make_tone, rate):
    wanted = frequencies(30, 96)
    tones = [make_tone(f, STEEP, length=rate // 2, sample_rate=rate) for f in wanted]
    assert worst(tones, wanted, rate) < 10


def test_level_offset_polarity_and_neighbours_change_nothing(piano):
    audio = piano.audio[::40, :16384]
    plain = estimate_pitch(audio, RATE)
    for other in (audio * 1e-4, audio * 1e4, -audio, audio + 0.3):
        changed = estimate_pitch(other, RATE)
        torch.testing.assert_close(changed.frequency, plain.frequency, rtol=1e-4, atol=0)
        torch.testing.assert_close(changed.confidence, plain.confidence, rtol=0, atol=1e-3)
    alone = torch.cat([estimate_pitch(one[None], RATE).frequency for one in audio])
    torch.testing.assert_close(alone, plain.frequency, rtol=1e-5, atol=0)


def test_shapes_and_dtypes_of_audio(piano):
    audio = piano.audio[50:53, :16384]
    found = estimate_pitch(audio, RATE).frequency
    stereo = torch.stack([audio * 1.5, audio * 0.5], dim=1)
    torch.testing.assert_close(estimate_pitch(stereo, RATE).frequency, found, rtol=1e-4, atol=0)
    torch.testing.assert_close(estimate_pitch(audio[0], RATE).frequency, found[:1])
    double = estimate_pitch(audio.double(), RATE)
    assert double.frequency.dtype == double.confidence.dtype == torch.float64
    torch.testing.assert_close(double.frequency.float(), found, rtol=1e-4, atol=0)
    torch.testing.assert_close(
        estimate_pitch(audio.bfloat16(), RATE).frequency, found, rtol=1e-3, atol=0
    )


def test_silence_offset_and_broken_samples_have_no_pitch(make_tone):
    tone = make_tone(440.0, FALLING)
    broken = tone.clone()
    broken[100] = math.nan
    clips = torch.stack([torch.zeros_like(tone), torch.ones_like(tone), broken, tone])
    found = estimate_pitch(clips, RATE)
    assert found.frequency.isnan().tolist() == [True, True, True, False]
    assert found.confidence[:3].tolist() == [0, 0, 0]
    assert abs(float(cents(found.frequency[3], torch.tensor(440.0)))) < 5
    assert dominant_frequency(clips[:3], RATE).isnan().all()


def test_confidence_tells_tones_from_noise(make_tone, piano):
    generator = Generator().manual_seed(3)
    white = torch.randn(32, 16384, generator=generator)
    slope = (torch.arange(16384 // 2 + 1) + 1.0) ** -0.5
    pink = torch.fft.irfft(torch.fft.rfft(torch.randn(32, 16384, generator=generator)) * slope)
    assert estimate_pitch(white, RATE).confidence.max() < 0.05
    assert estimate_pitch(pink, RATE).confidence.max() < 0.05
    for amplitudes in ({1: 1.0}, FALLING, NO_FIRST):
        tones = torch.stack([make_tone(f, amplitudes) for f in frequencies(30, 80)])
        assert estimate_pitch(tones, RATE).confidence.min() > 0.9
    assert estimate_pitch(piano.audio, RATE).confidence.median() > 0.9


def test_range_limits_the_answer(make_tone):
    tone = make_tone(110.0, FALLING)[None]
    assert abs(float(cents(estimate_pitch(tone, RATE).frequency, torch.tensor(110.0)))) < 5
    assert float(estimate_pitch(tone, RATE, low=150.0, high=1000.0).frequency) > 145


@pytest.mark.parametrize(
    ("shape", "rate", "low", "high", "words"),
    [
        ((2, 0), RATE, 27.0, 4500.0, "at least one sample"),
        ((2, 1, 1, 9), RATE, 27.0, 4500.0, "got shape"),
        ((1, 99), RATE, 500.0, 400.0, "low=500.0"),
        ((1, 99), RATE, 0.0, 400.0, "low=0.0"),
        ((1, 99), 50, 27.0, 4500.0, "at 50 Hz"),
    ],
)
def test_wrong_input_is_refused_in_one_line(shape, rate, low, high, words):
    with pytest.raises(ValueError, match=words) as caught:
        estimate_pitch(torch.zeros(shape), rate, low, high)
    assert "\n" not in str(caught.value)


def test_tiny_clips_are_no_error():
    assert estimate_pitch(torch.randn(3, 5), RATE).frequency.shape == (3,)


def test_midi_and_hertz_are_inverse():
    torch.testing.assert_close(
        midi_to_hz(torch.tensor([69, 57, 81])), torch.tensor([440.0, 220, 880])
    )
    notes = torch.linspace(0, 127, 50, dtype=torch.float64)
    torch.testing.assert_close(hz_to_midi(midi_to_hz(notes)), notes)
    torch.testing.assert_close(
        hz_to_midi(torch.tensor([27.5, 4186.009])), torch.tensor([21.0, 108])
    )


def test_cents_are_hundredths_of_a_semitone():
    reference = torch.tensor([440.0, 100.0])
    raised = midi_to_hz(hz_to_midi(reference) + torch.tensor([1.0, -0.5]))
    torch.testing.assert_close(
        cents(raised, reference), torch.tensor([100.0, -50.0]), rtol=0, atol=1e-2
    )


def test_dominant_frequency_is_that_of_the_loudest_partial(make_tone):
    for frequency in (50.0, 333.3, 2345.6):
        tone = make_tone(frequency, {1: 0.5, 2: 1.0, 3: 0.7}, snr_db=30.0)[None]
        assert abs(float(dominant_frequency(tone, RATE)) - 2 * frequency) < 0.2


def test_pitch_accuracy_is_the_share_within_the_tolerance(make_tone: Callable[..., Tensor]):
    tones = torch.stack([make_tone(f, FALLING) for f in (220.0, 330.0, 440.0)])[:, None]
    metric = PitchAccuracy(RATE)
    assert math.isnan(metric.compute())
    metric.update(tones, torch.tensor([220.0, 330.0, 440.0]))
    assert metric.compute() == 1
    # 40 cents off is right, 60 cents and an octave off are wrong.
    asked = torch.tensor([220 * 2 ** (40 / 1200), 330 * 2 ** (60 / 1200), 880.0])
    metric.update(tones, asked)
    assert metric.compute() == pytest.approx(4 / 6)
    again = pickle.loads(pickle.dumps(copy.deepcopy(metric)))
    assert again.compute() == metric.compute()
    metric.update(torch.zeros(2, 1, RATE), torch.tensor([220.0, 330.0]))
    assert metric.compute() == pytest.approx(4 / 8)
    metric.reset()
    strict = PitchAccuracy(RATE, tolerance_cents=20)
    for each in (metric, strict):
        each.update(tones[:1], asked[:1])
    assert (metric.compute(), strict.compute()) == (1, 0)
    with pytest.raises(ValueError, match="3 sounds"):
        metric.update(tones, asked[:2])
