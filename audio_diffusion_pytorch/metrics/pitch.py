"""Which pitch a sound has, found from the sound alone, and how often it is the requested one."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from audio_diffusion_pytorch.ops.pitch_salience import (
    NUM_PARTIALS,
    PERIODS_A_FRAME,
    STRETCHES,
    Salience,
    band_power,
    harmonic_salience,
    log_power_spectrum,
    pitch_spectrum,
)
from audio_diffusion_pytorch.ops.stft import mean_power_spectrum

SILENCE = 1e-7  # rms (-140 dBFS) under which there is no sound to judge


class Pitch(NamedTuple):
    """`frequency` (b,) in Hz, NaN where nothing sounds, and `confidence` (b,) in 0..1."""

    frequency: Tensor
    confidence: Tensor


def hz_to_midi(frequency: Tensor) -> Tensor:
    """MIDI note number of a frequency in Hz, fractional; 440 Hz is 69."""
    return 69 + 12 * torch.log2(frequency / 440)


def midi_to_hz(note: Tensor) -> Tensor:
    """Frequency in Hz of a MIDI note number in equal temperament with A4 (69) at 440 Hz."""
    return 440 * 2 ** ((note - 69) / 12)


def cents(frequency: Tensor, reference: Tensor) -> Tensor:
    """How far `frequency` lies above `reference` (both in Hz), in hundredths of a semitone."""
    return 1200 * torch.log2(frequency / reference)


@torch.no_grad()
def estimate_pitch(
    audio: Tensor, sample_rate: int, low: float = 27.0, high: float = 4500.0
) -> Pitch:
    """Find the one pitch of each sound.

    Every pitch from `low` to `high` is scored by the power at its partials less that between
    them, with the stretched partials of strings among the guesses (`ops.pitch_salience`). The best
    one moves to where the centres of power of its partials say. The fundamental itself may be weak
    or missing. Loudness and a constant offset have no influence.

    The confidence is the share of the sound's power that stands at the partials, less the share
    half-way between them: near 1 for a clear tone, near 0 for noise.

    Args:
        audio: `(t,)`, `(b, t)` or `(b, c, t)` (channels are averaged), any level; a long sound
            gives one pitch.
        sample_rate: Samples a second.
        low: Lowest pitch in Hz.
        high: Highest pitch in Hz; pitches above 0.45 times the sample rate are not looked for.

    Returns:
        `Pitch(frequency (b,) in Hz, confidence (b,))`; NaN and 0 for silence and for sounds with
        samples that are not finite.

    Raises:
        ValueError: For another shape, an empty sound, or a range that is empty at this sample rate.
    """
    mono = _mono(audio)
    high = min(high, 0.45 * sample_rate)
    if not 0 < low < high:
        raise ValueError(
            "the range of pitches must obey 0 < low < high <= 0.45 * sample_rate, got "
            f"low={low} and high={high} at {sample_rate} Hz; widen it or give the true sample rate"
        )
    mono, sounding = _standardized(mono)
    density, width = pitch_spectrum(mono, sample_rate, low)
    spectrum = log_power_spectrum(density, width, low)
    salience = harmonic_salience(spectrum, low, high)
    frequency, stretch = _best(salience, spectrum.cents)
    frequency = _centred(density, width, frequency, stretch, low)
    share = _harmonic_share(density, width, frequency, stretch, low)
    return Pitch(torch.where(sounding, frequency, torch.nan), torch.where(sounding, share, 0.0))


@torch.no_grad()
def dominant_frequency(audio: Tensor, sample_rate: int, low: float = 20.0) -> Tensor:
    """Frequency in Hz `(b,)` of the largest spectral peak from `low` Hz up; NaN for silence.

    The mean spectrum of frames of 0.25 s; a parabola through the logarithms of the peak's bin and
    its neighbours places it between them.

    Args:
        audio: `(t,)`, `(b, t)` or `(b, c, t)` (channels are averaged).
        sample_rate: Samples a second.
        low: Lowest frequency in Hz.
    """
    mono, sounding = _standardized(_mono(audio))
    size = 2 * round(sample_rate / 8)
    density = mean_power_spectrum(mono, size, size // 4, 4 * size)
    width = sample_rate / (4 * size)
    first = max(1, round(low / width))
    level = density.clamp(min=torch.finfo(density.dtype).tiny).log()
    peak = level[:, first:-1].argmax(-1) + first
    frequency = (peak + _vertex(level, peak)) * width
    return torch.where(sounding, frequency, torch.nan)


class PitchAccuracy:
    """Share of sounds whose estimated pitch is the requested one; answers `Metric`.

    Args:
        sample_rate: Samples a second of the audio given to `update`.
        tolerance_cents: Largest distance that counts as right; 50 is half a semitone.
    """

    def __init__(self, sample_rate: int, tolerance_cents: float = 50.0) -> None:
        self.sample_rate = sample_rate
        self.tolerance_cents = tolerance_cents
        self.reset()

    def reset(self) -> None:
        """Forget every sound."""
        self.right = 0
        self.total = 0

    def update(self, audio: Tensor, requested_hz: Tensor) -> None:
        """Judge `audio` (b, c, t) against `requested_hz` (b,), which the estimator never sees."""
        found = estimate_pitch(audio, self.sample_rate).frequency
        if requested_hz.shape != found.shape:
            raise ValueError(
                f"one requested frequency for each of the {len(found)} sounds is needed, "
                f"got shape {tuple(requested_hz.shape)}"
            )
        error = cents(found, requested_hz.to(found)).abs()
        self.right += int((error <= self.tolerance_cents).sum())
        self.total += len(found)

    def compute(self) -> float:
        """Return the share of right pitches in 0..1; NaN before the first `update`."""
        return self.right / self.total if self.total else float("nan")


def _mono(audio: Tensor) -> Tensor:
    if audio.ndim not in (1, 2, 3) or audio.numel() == 0:
        raise ValueError(
            "audio must be (t,), (b, t) or (b, c, t) with at least one sample, "
            f"got shape {tuple(audio.shape)}"
        )
    if audio.dtype not in (torch.float32, torch.float64):
        audio = audio.float()
    return audio[None] if audio.ndim == 1 else audio.mean(1) if audio.ndim == 3 else audio


def _standardized(mono: Tensor) -> tuple[Tensor, Tensor]:
    """Take out offset and level of `(b, t)`; also say which `(b,)` are finite and not silent."""
    finite = mono.isfinite().all(-1)
    mono = torch.where(finite[:, None], mono, 0.0)
    mono = mono - mono.mean(-1, keepdim=True)
    rms = mono.square().mean(-1).sqrt()
    return mono / rms.clamp(min=SILENCE)[:, None], finite & (rms > SILENCE)


def _best(salience: Salience, step: float) -> tuple[Tensor, Tensor]:
    """Frequency and stretch `(b,)` of the highest score, by a parabola through its neighbours."""
    score = salience.score
    best, index = score.amax(1).max(-1)
    row = (score == best[:, None, None]).flatten(1).float().argmax(-1) // score.shape[-1]
    curve = score[torch.arange(len(score), device=score.device), row]
    frequency = salience.frequency[index] * 2 ** (_vertex(curve, index) * step / 1200)
    return frequency, torch.tensor(STRETCHES, dtype=score.dtype, device=score.device)[row]


def _vertex(curve: Tensor, peak: Tensor) -> Tensor:
    """Steps (-0.5..0.5) from a peak to the top of the parabola through it and its neighbours."""
    inner = peak.clamp(1, curve.shape[-1] - 2)[:, None]
    left, middle, right = (curve.gather(-1, inner + k)[:, 0] for k in (-1, 0, 1))
    bend = left - 2 * middle + right
    shift = 0.5 * (left - right) / torch.where(bend < 0, bend, -torch.inf)
    return torch.where(inner[:, 0] == peak, shift.clamp(-0.5, 0.5), 0.0)


def _centred(
    density: Tensor, width: float, frequency: Tensor, stretch: Tensor, low: float
) -> Tensor:
    """Move each pitch to where the centres of power of its partials say it is."""
    partials = torch.arange(1, NUM_PARTIALS + 1, dtype=density.dtype, device=density.device)
    bins = torch.arange(density.shape[-1], dtype=density.dtype, device=density.device)
    tiny = torch.finfo(density.dtype).tiny
    for _ in range(2):  # the first move brings the bands onto the partials
        place = frequency[:, None] * partials * torch.sqrt(1 + stretch[:, None] * partials**2)
        reach = (0.0145 * place).clamp(min=low / PERIODS_A_FRAME)  # 25 cents, half a main lobe
        reach = torch.minimum(reach, frequency[:, None] / 4)
        power = band_power(density, width, place - reach, place + reach)
        moment = band_power(density * bins, width, place - reach, place + reach) * width
        total = power.sum(-1)
        move = torch.where(total > 0, (moment / place).sum(-1) / total.clamp(min=tiny), 1.0)
        frequency = frequency * move
    return frequency


def _harmonic_share(
    density: Tensor, width: float, frequency: Tensor, stretch: Tensor, low: float
) -> Tensor:
    """Share of the power around the partials, less the share half-way below each, in 0..1."""
    f = frequency[:, None]

    def share(partial: Tensor) -> Tensor:
        centre = f * partial * torch.sqrt(1 + stretch[:, None] * partial**2)
        reach = torch.minimum((0.0145 * centre).clamp(min=2 * low / PERIODS_A_FRAME), f / 4)
        return band_power(density, width, centre - reach, centre + reach).sum(-1)

    partials = torch.arange(1, NUM_PARTIALS + 1, dtype=density.dtype, device=density.device)
    bins = torch.arange(density.shape[-1], device=density.device) * width
    total = (density * (bins > 0.7 * low)).sum(-1)
    between = 0.5 * (share(partials - 0.5) + share(partials + 0.5))
    tiny = torch.finfo(density.dtype).tiny
    return ((share(partials) - between) / total.clamp(min=tiny)).clamp(0, 1)
