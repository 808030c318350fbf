"""A labelled set of synthetic sounds whose pitch and spectrum are known."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from math import cos, log2, pi
from pathlib import Path
from random import Random
from typing import Literal

import torch
from torch import Tensor

from audio_diffusion_pytorch.data.clip import Clip
from audio_diffusion_pytorch.data.labels import LabelTable
from audio_diffusion_pytorch.data.save import save_audio
from audio_diffusion_pytorch.data.waveforms import (
    amplitude_modulated,
    chirp,
    exponential_envelope,
    frequency_modulated,
    harmonic,
    linear_envelope,
    noise,
    pulse_train,
    sine,
)

CLEAN_KINDS = ("sine", "chirp", "harmonic", "am", "fm", "pulse")
KINDS_WITH_NOISE = ("sine", "chirp", "noise", "harmonic", "am", "fm", "pulse")
NOISE_EXPONENTS = {"white": 0.0, "pink": 1.0, "brown": 2.0}
CLEAN_COUNT, COUNT_WITH_NOISE = 86, 100
MINIMUM_RATE = 8000
PEAK = 0.8
_DELAY = 100  # samples, of the second channel

StereoMode = Literal["duplicate", "delay", "difference", "polarity"]
STEREO_MODES: tuple[StereoMode, ...] = ("duplicate", "delay", "difference")


@dataclass(frozen=True)
class SyntheticSound:
    """One sound's facts.

    Attributes:
        file: its file name, which tells kind and main parameters.
        kind: `sine`, `chirp`, `harmonic`, `am`, `fm`, `pulse`, `white`, `pink` or `brown`.
        frequency: fundamental or carrier, Hz; a chirp's at its start; None for noise.
        end_frequency: a chirp's frequency at its end, Hz; of others as `frequency`.
        note: MIDI number of the note nearest to `frequency`; None for noise and chirps.
        duration: s.
        modulator: modulating frequency of AM and FM, Hz, else None.
        depth: AM: 0..1; FM: deviation in Hz; pulse: duty, 0..1; harmonic: number of partials.
        envelope: `linear` or `exponential`.
        attack: share of a linear envelope that rises, 0..1.
        decay: share of a linear envelope that falls, 0..1.
        stereo: how the second channel is made: `duplicate`, `delay` (100 samples), `difference`
            (of neighbouring samples) or `polarity`.
        seed: of a noise.
    """

    file: str
    kind: str
    frequency: float | None
    end_frequency: float | None
    note: int | None
    duration: float
    modulator: float | None
    depth: float | None
    envelope: str
    attack: float
    decay: float
    stereo: StereoMode
    seed: int


class SyntheticSounds:
    """Sines, chirps, harmonic tones, AM, FM, pulse trains and (if asked) noises, from a seed.

    By default the 86 clean clips: 15 sines, 15 chirps and 14 each of the others; with
    `include_noise` 14 noises more. `sounds[i]` are the facts, `clip(i)` the sound.

    The kinds and ranges: sine 50-2000 Hz, 2-8 s; chirp 100-1000 Hz, 3-6 s; harmonic 80-400 Hz,
    3-7 partials at `1/k`, 3-7 s; AM 200-800 Hz by 5-50 Hz; FM 300-1000 Hz by 10-100 Hz, deviation
    10-100 Hz; pulse 50-500 Hz, duty 0.1-0.9 (these three 2-5 s); noise 2-5 s.

    Args:
        count: number of sounds; None: 86, or 100 with noise.
        include_noise: whether white, pink and brown noise is among them.
        seed: of everything; sound `i` does not depend on `count`.
        sample_rate: Hz, at least 8000.
        channels: 1 or 2.
        stereo: the ways to make a second channel; `"polarity"` is not among the default ones, as
            it cancels when mixed to mono, and `"delay"` is avoided where it would cancel.

    Raises:
        ValueError: arguments out of range.
    """

    def __init__(
        self,
        count: int | None = None,
        *,
        include_noise: bool = False,
        seed: int = 0,
        sample_rate: int = 16000,
        channels: int = 2,
        stereo: Sequence[StereoMode] = STEREO_MODES,
    ) -> None:
        if count is None:
            count = COUNT_WITH_NOISE if include_noise else CLEAN_COUNT
        if count < 1 or sample_rate < MINIMUM_RATE or channels not in (1, 2) or not stereo:
            raise ValueError(
                f"wanted count >= 1, sample_rate >= {MINIMUM_RATE} Hz, channels 1 or 2 and a "
                f"stereo mode, got {count}, {sample_rate}, {channels} and {list(stereo)}"
            )
        self.sample_rate, self.channels, self.seed = sample_rate, channels, seed
        kinds = KINDS_WITH_NOISE if include_noise else CLEAN_KINDS
        self.sounds = [
            _draw(index, kinds[index % len(kinds)], seed, sample_rate, tuple(stereo))
            for index in range(count)
        ]
        self.label_table = LabelTable.from_values(
            {
                "kind": [sound.kind for sound in self.sounds],
                "note": [sound.note for sound in self.sounds],
            }
        )

    def __len__(self) -> int:
        return len(self.sounds)

    def __iter__(self) -> Iterator[Clip]:
        return (self.clip(index) for index in range(len(self)))

    def __getitem__(self, index: int) -> Clip:
        return self.clip(index)

    def clip(self, index: int) -> Clip:
        """Sound `index`: audio `(channels, t)` with peak 0.8, labels (kind, note)."""
        sound = self.sounds[index]
        audio = render(sound, self.sample_rate, self.channels)
        labels = self.label_table.encode({"kind": sound.kind, "note": sound.note})
        return Clip(audio, labels, f"{sound.file}@0")

    def write(self, folder: str | Path) -> Path:
        """Write every sound as 16-bit WAV into `folder`/audio, and `folder`/labels.csv beside.

        Returns the path of the list. `AudioFolder(folder, ..., labels="labels.csv",
        label_columns=["kind"])` reads it.
        """
        folder = Path(folder)
        for index, sound in enumerate(self.sounds):
            save_audio(folder / "audio" / sound.file, self.clip(index).audio, self.sample_rate)
        manifest = folder / "labels.csv"
        with manifest.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            names = [field.name for field in fields(SyntheticSound)]
            writer.writerow(names)
            for sound in self.sounds:
                values = (getattr(sound, name) for name in names)
                writer.writerow("" if value is None else value for value in values)
        return manifest


def render(sound: SyntheticSound, sample_rate: int, channels: int) -> Tensor:
    """The sound of these facts, `(channels, t)` float32 with peak 0.8."""
    wave = _wave(sound, sample_rate)
    if sound.envelope == "linear":
        wave = wave * linear_envelope(len(wave), sound.attack, sound.decay)
    else:
        wave = wave * exponential_envelope(len(wave), sample_rate)
    audio = wave[None] if channels == 1 else torch.stack([wave, _second(wave, sound.stereo)])
    return audio * (PEAK / audio.abs().max())


def midi_note(frequency: float) -> int:
    """The MIDI number nearest to a frequency in Hz; A4 = 440 Hz = 69."""
    return round(69 + 12 * log2(frequency / 440))


def _wave(sound: SyntheticSound, rate: int) -> Tensor:
    duration, depth = sound.duration, sound.depth or 0.0
    if sound.frequency is None or sound.end_frequency is None:
        return noise(NOISE_EXPONENTS[sound.kind], duration, rate, sound.seed)
    frequency, modulator = sound.frequency, sound.modulator or 1.0
    if sound.kind == "chirp":
        return chirp(frequency, sound.end_frequency, duration, rate)
    if sound.kind == "harmonic":
        return harmonic(frequency, int(depth), duration, rate)
    if sound.kind == "am":
        return amplitude_modulated(frequency, modulator, depth, duration, rate)
    if sound.kind == "fm":
        return frequency_modulated(frequency, modulator, depth, duration, rate)
    if sound.kind == "pulse":
        return pulse_train(frequency, depth, duration, rate)
    return sine(frequency, duration, rate)


def _second(wave: Tensor, mode: StereoMode) -> Tensor:
    if mode == "delay":
        return torch.nn.functional.pad(wave, (_DELAY, 0))[: len(wave)]
    if mode == "difference":
        return torch.diff(wave, prepend=wave[:1])
    return -wave if mode == "polarity" else wave


def _draw(
    index: int, kind: str, seed: int, rate: int, modes: tuple[StereoMode, ...]
) -> SyntheticSound:
    """The facts of sound `index`, drawn from the ranges; a pure function of the arguments."""
    draw = Random(f"synthetic/{seed}/{index}")

    def between(low: float, high: float, digits: int = 2) -> float:
        return round(low + (high - low) * draw.random(), digits)

    def one_of(count: int) -> int:
        return int(draw.random() * count)

    frequency = end = modulator = depth = None
    if kind == "sine":
        frequency, duration = between(50, 2000), between(2, 8)
    elif kind == "chirp":
        # At least an octave apart in one direction or the other: a chirp that can be heard as one.
        low, high, duration = between(100, 450), between(550, 1000), between(3, 6)
        frequency, end = (low, high) if one_of(2) == 0 else (high, low)
    elif kind == "harmonic":
        frequency, depth, duration = between(80, 400), float(3 + one_of(5)), between(3, 7)
    elif kind == "am":
        frequency, modulator, depth = between(200, 800), between(5, 50), between(0.5, 1)
        duration = between(2, 5)
    elif kind == "fm":
        frequency, modulator, depth = between(300, 1000), between(10, 100), between(10, 100)
        duration = between(2, 5)
    elif kind == "pulse":
        frequency, depth, duration = between(50, 500), between(0.1, 0.9), between(2, 5)
    else:
        kind, duration = list(NOISE_EXPONENTS)[one_of(3)], between(2, 5)
    envelope = ("linear", "exponential")[one_of(2)]
    attack, decay = between(0.05, 0.2, 3), between(0.05, 0.3, 3)
    stereo = modes[one_of(len(modes))]
    if stereo == "delay" and frequency and abs(cos(pi * frequency * _DELAY / rate)) < 0.25:
        stereo = "duplicate"  # the mean of both channels would all but cancel
    return SyntheticSound(
        _file_name(index, kind, frequency, end),
        kind,
        frequency,
        end or frequency,
        midi_note(frequency) if frequency and kind != "chirp" else None,
        duration,
        modulator,
        depth,
        envelope,
        attack,
        decay,
        stereo,
        seed=int(draw.random() * 2**31),
    )


def _file_name(index: int, kind: str, frequency: float | None, end: float | None) -> str:
    parts = [f"{index:03d}", kind]
    if frequency is not None:
        parts.append(f"{frequency:.0f}Hz")
    if end is not None:
        parts.append(f"to_{end:.0f}Hz")
    return "_".join(parts) + ".wav"
