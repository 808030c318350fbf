"""Test sounds with known facts, band-limited by construction: nothing stands above Nyquist.

All return `(t,)` float32, start at phase 0 and are not levelled; `duration` in s, `rate` and
frequencies in Hz. Phases are integrals of frequency, computed in float64.
"""

from __future__ import annotations

from math import pi

import torch
from torch import Tensor

NYQUIST_SHARE = 0.95  # partials stay below this share of half the sample rate


def sine(frequency: float, duration: float, rate: int) -> Tensor:
    """`sin(2 pi f t)`."""
    _check_band(frequency, rate)
    return torch.sin(2 * pi * frequency * _times(duration, rate)).float()


def chirp(start: float, end: float, duration: float, rate: int) -> Tensor:
    """A sine whose frequency moves linearly from `start` to `end`.

    Its phase is the integral of that line, `2 pi (start t + (end - start) t^2 / (2 duration))`;
    `2 pi f(t) t` would move twice as far.
    """
    _check_band(max(start, end), rate)
    t = _times(duration, rate)
    return torch.sin(2 * pi * (start * t + (end - start) * t * t / (2 * duration))).float()


def harmonic(frequency: float, num_partials: int, duration: float, rate: int) -> Tensor:
    """Partials `k f` of amplitude `1 / k`; those too near Nyquist are left out."""
    _check_band(frequency, rate)
    t = _times(duration, rate)
    partials = range(1, min(num_partials, _highest_partial(frequency, rate)) + 1)
    waves = [torch.sin(2 * pi * frequency * k * t) / k for k in partials]
    return torch.stack(waves).sum(dim=0).float()


def amplitude_modulated(
    carrier: float, modulator: float, depth: float, duration: float, rate: int
) -> Tensor:
    """`(1 + depth sin(2 pi m t)) sin(2 pi c t)`: lines at `c` and `c +- m`; `depth` in 0..1."""
    _check_band(carrier + modulator, rate)
    t = _times(duration, rate)
    gain = 1 + depth * torch.sin(2 * pi * modulator * t)
    return (gain * torch.sin(2 * pi * carrier * t)).float()


def frequency_modulated(
    carrier: float, modulator: float, deviation: float, duration: float, rate: int
) -> Tensor:
    """A sine whose frequency swings `deviation` Hz around `carrier`, `modulator` times a second.

    Side lines stand at `c +- k m`; beyond `k = deviation / m + 12` they are below -120 dB.
    """
    index = deviation / modulator
    _check_band(carrier + (index + 12) * modulator, rate)
    t = _times(duration, rate)
    swing = index * torch.sin(2 * pi * modulator * t)
    return torch.sin(2 * pi * carrier * t + swing).float()


def pulse_train(frequency: float, duty: float, duration: float, rate: int) -> Tensor:
    """A pulse wave without its mean, as the sum of its Fourier series below Nyquist.

    Partial `k` has amplitude `2 sin(pi k duty) / (pi k)`; `duty` is the share of the period that
    is high, 0..1.
    """
    _check_band(frequency, rate)
    t = _times(duration, rate)
    wave = torch.zeros_like(t)
    for k in range(1, _highest_partial(frequency, rate) + 1):
        amplitude = 2 * float(torch.sin(torch.tensor(pi * k * duty))) / (pi * k)
        wave += amplitude * torch.cos(2 * pi * frequency * k * t)
    return wave.float()


def noise(exponent: float, duration: float, rate: int, seed: int) -> Tensor:
    """Gaussian noise with power `1 / f ** exponent` above 20 Hz: 0 white, 1 pink, 2 brown."""
    num_samples = round(duration * rate)
    generator = torch.Generator().manual_seed(seed)
    white = torch.randn(num_samples, generator=generator, dtype=torch.float64)
    spectrum = torch.fft.rfft(white)
    frequencies = torch.fft.rfftfreq(num_samples, 1 / rate, dtype=torch.float64)
    gain = frequencies.clamp_min(20.0) ** (-exponent / 2)
    gain[0] = 0.0  # no offset
    shaped: Tensor = torch.fft.irfft(spectrum * gain, num_samples)
    return (shaped / shaped.abs().max()).float()


def linear_envelope(num_samples: int, attack: float, decay: float) -> Tensor:
    """Rises over the share `attack`, holds 1, falls to 0 over the share `decay`."""
    place = torch.arange(num_samples, dtype=torch.float64) / max(1, num_samples - 1)
    return torch.minimum(place / attack, (1 - place) / decay).clamp(0, 1).float()


def exponential_envelope(num_samples: int, rate: int) -> Tensor:
    """Falls to `e^-5`; 5 ms raised-cosine edges keep the ends from clicking."""
    place = torch.arange(num_samples, dtype=torch.float64) / max(1, num_samples - 1)
    edge = max(1, min(round(0.005 * rate), num_samples // 2))
    ramp = 0.5 - 0.5 * torch.cos(torch.arange(edge, dtype=torch.float64) * (pi / edge))
    gain = torch.exp(-5 * place)
    gain[:edge] *= ramp
    gain[num_samples - edge :] *= ramp.flip(0)
    return gain.float()


def _times(duration: float, rate: int) -> Tensor:
    return torch.arange(round(duration * rate), dtype=torch.float64) / rate


def _highest_partial(frequency: float, rate: int) -> int:
    return int(NYQUIST_SHARE * rate / 2 / frequency)


def _check_band(highest: float, rate: int) -> None:
    if not 0 < highest <= NYQUIST_SHARE * rate / 2:
        raise ValueError(
            f"a sound that reaches {highest:.0f} Hz needs a sample rate of at least "
            f"{2 * highest / NYQUIST_SHARE:.0f} Hz, got {rate}"
        )
