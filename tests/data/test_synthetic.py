from __future__ import annotations

import subprocess
import sys
from collections import Counter
from math import pi
from pathlib import Path

import pytest
import torch
from torch import Tensor

from audio_diffusion_pytorch.data import AudioFolder, SyntheticSounds
from audio_diffusion_pytorch.data.synthetic import midi_note, render
from audio_diffusion_pytorch.data.waveforms import (
    amplitude_modulated,
    chirp,
    frequency_modulated,
    harmonic,
    noise,
    pulse_train,
    sine,
)

RATE = 16000


def spectrum(wave: Tensor) -> Tensor:
    """Magnitudes under a Blackman-Harris window, whose side lobes stay below -92 dB."""
    t = torch.arange(len(wave), dtype=torch.float64) * (2 * pi / len(wave))
    window = (
        0.35875 - 0.48829 * torch.cos(t) + 0.14128 * torch.cos(2 * t) - 0.01168 * torch.cos(3 * t)
    )
    return torch.fft.rfft(wave.double() * window).abs()


def level_beside(wave: Tensor, lines: list[float]) -> float:
    """The loudest bin more than 5 bins from every expected line, in dB of the loudest of all."""
    magnitudes = spectrum(wave)
    allowed = torch.ones(len(magnitudes), dtype=torch.bool)
    for line in lines:
        centre = round(line * len(wave) / RATE)
        allowed[max(0, centre - 5) : centre + 6] = False
    return float(20 * torch.log10(magnitudes[allowed].max() / magnitudes.max()))


def instantaneous_frequency(wave: Tensor) -> Tensor:
    """Hz, from the phase steps of the analytic signal."""
    spectrum = torch.fft.fft(wave.double())
    spectrum[len(wave) // 2 :] = 0
    analytic = torch.fft.ifft(spectrum)
    return torch.angle(analytic[1:] * analytic[:-1].conj()) * RATE / (2 * pi)


def multiples(frequency: float) -> list[float]:
    return [k * frequency for k in range(1, int(RATE / 2 / frequency) + 1)]


def test_nothing_aliases_above_60_db() -> None:
    # Frequencies that no harmonic of an alias could hide behind.
    for frequency in (50.0, 333.3, 499.9):
        for duty in (0.1, 0.37, 0.9):
            wave = pulse_train(frequency, duty, 2.0, RATE)
            assert level_beside(wave, multiples(frequency)) < -60
        assert level_beside(harmonic(frequency, 7, 2.0, RATE), multiples(frequency)) < -60
    am_lines = [800 + k * 49.7 for k in (-1, 0, 1)]
    assert level_beside(amplitude_modulated(800, 49.7, 1.0, 2.0, RATE), am_lines) < -60
    for modulator, deviation in ((10.0, 100.0), (99.7, 100.0)):
        lines = [1000 + k * modulator for k in range(-30, 31)]
        wave = frequency_modulated(1000, modulator, deviation, 2.0, RATE)
        assert level_beside(wave, lines) < -60


def test_the_alias_measure_would_see_a_naive_pulse() -> None:
    t = torch.arange(2 * RATE, dtype=torch.float64) / RATE
    naive = ((t * 499.9) % 1 < 0.37).double() * 2 - 1
    assert level_beside(naive - naive.mean(), multiples(499.9)) > -40


def test_pulse_is_the_pulse_below_its_band_limit() -> None:
    wave = pulse_train(50.0, 0.25, 1.0, RATE).double()
    t = (torch.arange(RATE, dtype=torch.float64) / RATE * 50.0 + 0.125) % 1
    ideal = (t < 0.25).double() - 0.25
    assert (wave - ideal).square().mean() / ideal.square().mean() < 0.01


@pytest.mark.parametrize(("start", "end"), [(100.0, 1000.0), (1000.0, 100.0)])
def test_chirp_starts_and_ends_at_its_frequencies(start: float, end: float) -> None:
    frequency = instantaneous_frequency(chirp(start, end, 3.0, RATE))
    edge = RATE // 20  # 50 ms: the analytic signal is not defined at the very ends
    slope = (end - start) / 3.0
    measured_end = float(frequency[-2 * edge : -edge].mean()) + slope * 1.5 * edge / RATE
    measured_start = float(frequency[edge : 2 * edge].mean()) - slope * 1.5 * edge / RATE
    assert measured_end == pytest.approx(end, rel=0.01)
    assert measured_start == pytest.approx(start, rel=0.01)


def test_the_default_set_is_the_86_clean_clips() -> None:
    counts = Counter(sound.kind for sound in SyntheticSounds().sounds)
    assert counts == {"sine": 15, "chirp": 15, "harmonic": 14, "am": 14, "fm": 14, "pulse": 14}
    with_noise = Counter(sound.kind for sound in SyntheticSounds(include_noise=True).sounds)
    assert sum(with_noise.values()) == 100
    assert sum(with_noise[kind] for kind in ("white", "pink", "brown")) == 14
    assert len(SyntheticSounds(5)) == 5


def test_facts_lie_in_their_ranges() -> None:
    ranges = {
        "sine": (50, 2000, 2, 8), "chirp": (100, 1000, 3, 6), "harmonic": (80, 400, 3, 7),
        "am": (200, 800, 2, 5), "fm": (300, 1000, 2, 5), "pulse": (50, 500, 2, 5),
    }  # fmt: skip
    for sound in SyntheticSounds(600).sounds:
        low, high, shortest, longest = ranges[sound.kind]
        assert sound.frequency is not None and sound.end_frequency is not None
        assert low <= sound.frequency <= high and low <= sound.end_frequency <= high
        assert shortest <= sound.duration <= longest
        assert sound.stereo in ("duplicate", "delay", "difference")
    partials = {s.depth for s in SyntheticSounds(600).sounds if s.kind == "harmonic"}
    assert partials == {3, 4, 5, 6, 7}


@pytest.fixture(scope="module")
def sounds() -> SyntheticSounds:
    return SyntheticSounds(24, include_noise=False, seed=7)


def test_frequency_is_the_one_told(sounds: SyntheticSounds) -> None:
    for index, sound in enumerate(sounds.sounds):
        if sound.kind == "chirp" or sound.frequency is None:
            continue
        wave = sounds.clip(index).audio[0]
        if sound.kind == "fm":  # its carrier line may vanish; its mean frequency does not
            middle = slice(len(wave) // 4, 3 * len(wave) // 4)
            found = float(instantaneous_frequency(wave)[middle].mean())
        elif sound.kind == "pulse":  # a partial may be louder than the first
            magnitudes = spectrum(wave)
            comb = [k * sound.frequency * len(wave) / RATE for k in (1, 2, 3)]
            peaks = [int(magnitudes[int(c) - 9 : int(c) + 10].argmax()) + int(c) - 9 for c in comb]
            k = max(range(3), key=lambda k: float(magnitudes[peaks[k]]))
            found = peaks[k] / (k + 1) * RATE / len(wave)
        else:
            found = int(spectrum(wave).argmax()) * RATE / len(wave)
        assert found == pytest.approx(sound.frequency, abs=1.0), sound


def test_peak_and_shape(sounds: SyntheticSounds) -> None:
    for index, sound in enumerate(sounds.sounds):
        audio = sounds.clip(index).audio
        assert audio.shape == (2, round(sound.duration * RATE)) and audio.dtype == torch.float32
        assert audio.abs().max() == pytest.approx(0.8, abs=1e-6)
        mono = audio.mean(dim=0).abs().max()
        assert mono > 0.08, f"{sound.stereo} cancels in mono at {sound.frequency} Hz"


def test_everything_follows_the_seed() -> None:
    first, again, other = SyntheticSounds(7), SyntheticSounds(30), SyntheticSounds(7, seed=1)
    assert first.sounds == again.sounds[:7] and first.sounds != other.sounds
    assert torch.equal(first.clip(3).audio, again.clip(3).audio)
    noisy = SyntheticSounds(7, include_noise=True)
    assert torch.equal(noisy.clip(2).audio, SyntheticSounds(7, include_noise=True).clip(2).audio)


def test_labels_and_notes() -> None:
    sounds = SyntheticSounds(12)
    table = sounds.label_table
    for clip, sound in zip(sounds, sounds.sounds, strict=True):
        values = table.decode(clip.labels)
        assert values["kind"] == sound.kind
        assert values["note"] == (None if sound.note is None else str(sound.note))
    assert [midi_note(f) for f in (440.0, 27.5, 261.6, 452.0)] == [69, 21, 60, 69]


@pytest.mark.parametrize(("exponent", "slope"), [(0.0, 0.0), (1.0, -3.01), (2.0, -6.02)])
def test_noise_falls_by_its_slope(exponent: float, slope: float) -> None:
    power = torch.fft.rfft(noise(exponent, 20.0, RATE, seed=1).double()).abs().square()
    octaves = [float(power[20 * f : 40 * f].mean()) for f in (100, 200, 400, 800, 1600, 3200)]
    steps = 10 * torch.log10(torch.tensor(octaves))
    assert float((steps[-1] - steps[0]) / 5) == pytest.approx(slope, abs=0.2)


def test_second_channels() -> None:
    sounds = SyntheticSounds(1, stereo=["polarity"])
    audio = sounds.clip(0).audio
    assert torch.equal(audio[0], -audio[1])
    assert SyntheticSounds(1, channels=1).clip(0).audio.shape[0] == 1
    delayed = next(s for s in SyntheticSounds(60).sounds if s.stereo == "delay")
    audio = render(delayed, RATE, 2)
    assert torch.equal(audio[1, 100:], audio[0, :-100])


def test_sounds_too_high_for_the_rate_are_refused() -> None:
    with pytest.raises(ValueError, match="needs a sample rate of at least 8421 Hz, got 8000"):
        sine(4000, 1.0, 8000)
    with pytest.raises(ValueError, match="sample_rate >= 8000"):
        SyntheticSounds(sample_rate=4000)
    with pytest.raises(ValueError, match="stereo mode"):
        SyntheticSounds(stereo=[])
    assert SyntheticSounds(6, sample_rate=8000).clip(0).audio.shape[0] == 2


def test_written_set_is_read_with_its_labels(tmp_path: Path, project_root: Path) -> None:
    script = project_root / "examples" / "make_synthetic_data.py"
    command = [sys.executable, str(script), "--out", str(tmp_path), "--count", "7", "--noise"]
    result = subprocess.run(
        command, capture_output=True, text=True, cwd=project_root,
        env={"PYTHONPATH": str(project_root), "PATH": ""}, check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert "wrote 7 sounds (1 sine, 1 chirp" in result.stdout
    dataset = AudioFolder(
        tmp_path, RATE, 32000, 2, crop="start", labels="labels.csv", label_columns=["kind", "note"]
    )
    sounds = SyntheticSounds(7, include_noise=True)
    assert dataset.files == sorted(sound.file for sound in sounds.sounds)
    assert dataset.label_table == sounds.label_table
    for index in range(7):
        clip = dataset[index]
        assert torch.equal(clip.labels, sounds.clip(index).labels)
        expected = sounds.clip(index).audio[:, :32000]
        assert (clip.audio[:, : expected.shape[1]] - expected).abs().max() < 2e-5
