"""What a decoder makes of latents that are not quite right, and of those that are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Generator, Tensor

from audio_diffusion_pytorch.diagnostics.finding import Finding, Severity
from audio_diffusion_pytorch.diagnostics.report import CurvePlot, Sound
from audio_diffusion_pytorch.metrics import log_spectral_distance, peak_db
from audio_diffusion_pytorch.ops.random import randn_like

LEVELS = tuple(float(level) for level in range(-60, 5, 5))
"""Noise beside the latents, in dB."""
BROKEN_SNR, BROKEN_DISTANCE = 10.0, 6.0
"""A sound is broken where the error is within 10 dB of it; for a decoder that never gives the same
sound twice, where its spectrum moves by 6 dB more than from one time to the next."""
SENSITIVE, FAR_TOO_SENSITIVE = -30.0, -50.0
"""Latent noise, in dB, that must not break a sound: no network's latents are cleaner than 30 dB."""
DEAF_SNR = 20.0
"""A decoder whose sound stays this clean, in dB, when half of what it gets is noise is deaf."""
RANGE_DB = 60.0
"""Depth of the spectra that are compared, in dB under the peak."""
CLIPS = 8

Decode = Callable[[Tensor], Tensor]


class _Answer(NamedTuple):
    snr: float  # dB
    distance: float  # dB


def check_decoder_robustness(
    decode: Decode,
    z: Tensor,
    *,
    model_error_db: float | None = None,
    levels: Sequence[float] = LEVELS,
    sample_rate: int | None = None,
    seed: int = 0,
) -> Finding:
    """Decode latents with more and more noise on them and find where the sound breaks.

    Args:
        decode: Latents `(b, c, t)` to audio.
        z: Clean latents `(b, c, t)`, as `decode` takes them; eight of them are used.
        model_error_db: How far a network's latents lie from the true ones, in dB beside them; said
            beside the level that breaks the sound.
        levels: Noise beside the latents, in dB, rising.
        sample_rate: Hz, for the sounds of a report; None plays none.
        seed: Of the noise.
    """
    z = z[:CLIPS]
    noise = randn_like(z, Generator(z.device).manual_seed(seed))
    scale = z.float().square().mean().sqrt().to(z.dtype)
    clean = decode(z)
    again = compare_sounds(decode(z), clean)
    repeats = again.snr > 60.0
    answers, sounds = [], []
    for level in levels:
        heard = decode(z + 10 ** (level / 20) * scale * noise)
        answers.append(compare_sounds(heard, clean))
        if sample_rate is not None and level in (-40.0, -20.0, 0.0):
            sounds.append(Sound(f"{level:.0f} dB", heard[0].float().cpu(), sample_rate,
                                "decoded with so much noise", "latent noise"))  # fmt: skip
    snr = [answer.snr for answer in answers]
    distance = [answer.distance for answer in answers]
    margins = (
        [BROKEN_SNR - value for value in snr]
        if repeats
        else [value - again.distance - BROKEN_DISTANCE for value in distance]
    )
    breaks = _crossing(levels, margins)
    figures: dict[str, float | str] = {
        "breaks_at_db": levels[-1] if breaks is None else breaks,
        "breaks": "no" if breaks is None else "yes",
        "snr_with_most_noise_db": snr[-1],
        "distance_with_most_noise_db": distance[-1],
    }
    if model_error_db is not None:
        figures["model_error_db"] = model_error_db
    lines = {
        "signal over error": (list(levels), snr),
        "spectral distance": (list(levels), distance),
    }
    curves = (CurvePlot("decoding of noisy latents", lines, False, "latent noise (dB)", "dB"),)
    verdict, message, remedy = _judge(breaks, levels, snr[-1], repeats, model_error_db)
    return Finding("decoder robustness", verdict, message, remedy, figures, curves, tuple(sounds))


def _judge(
    breaks: float | None,
    levels: Sequence[float],
    last_snr: float,
    repeats: bool,
    model_error_db: float | None,
) -> tuple[Severity, str, str]:
    beside = "" if model_error_db is None else f", the network's own error is {model_error_db:.1f}"
    beside += "" if model_error_db is None else " dB"
    if breaks is None and repeats and last_snr > DEAF_SNR:
        return (
            "wrong",
            f"with noise as loud as the latents themselves ({levels[-1]:.0f} dB) the decoded sound "
            f"changes by only {-last_snr:.1f} dB, right is {-BROKEN_SNR:.0f} dB or more: the "
            "decoder does not listen to its latents",
            "train the autoencoder again with a narrower decoder, or without what it takes besides",
        )
    if breaks is None:
        return (
            "ok",
            f"decoding does not break up to {levels[-1]:.0f} dB of noise on the latents (right is "
            f"not before {SENSITIVE:.0f} dB{beside})",
            "",
        )
    message = (
        f"decoding breaks at {breaks:.1f} dB of noise on the latents, right is not before "
        f"{SENSITIVE:.0f} dB{beside}"
    )
    if breaks >= SENSITIVE:
        return "ok", message, ""
    return (
        "wrong" if breaks < FAR_TOO_SENSITIVE else "suspicious",
        message,
        "train the decoder with noise on its latents, 20 dB under them, so that it bears what a "
        "network gets wrong",
    )


def compare_sounds(heard: Tensor, wanted: Tensor) -> _Answer:
    """Return how far sounds `(b, c, t)` lie apart: signal over error and spectral distance, dB.

    The lengths may differ by what an autoencoder pads; the shorter one counts.
    """
    length = min(heard.shape[-1], wanted.shape[-1])
    heard, wanted = (sound[..., :length].detach().float().cpu() for sound in (heard, wanted))
    if not bool(torch.isfinite(heard).all()):
        return _Answer(-200.0, 200.0)
    power, error = wanted.square().sum(), (heard - wanted).square().sum()
    tiny = torch.finfo(torch.float32).tiny
    snr = 10 * torch.log10(power.clamp_min(tiny) / error.clamp_min(tiny))
    peak = float(peak_db(wanted.reshape(1, -1)).max())
    frame = max(16, min(1024, length // 4))
    distance = log_spectral_distance(heard, wanted, frame, frame // 4, peak - RANGE_DB)
    return _Answer(float(snr.clamp(-200.0, 200.0)), float(distance.mean()))


def _crossing(levels: Sequence[float], margins: Sequence[float]) -> float | None:
    """Return the first level at which the margin rises through 0, on the line between two."""
    if margins[0] > 0:
        return levels[0]
    for place in range(1, len(levels)):
        if margins[place] > 0:
            before, after = margins[place - 1], margins[place]
            share = -before / (after - before)
            return levels[place - 1] + share * (levels[place] - levels[place - 1])
    return None


WORN_DISTANCE, BROKEN_ROUND_TRIP = 12.0, 20.0
"""Mean distance of the spectra, in dB: a lossy codec gives 5 to 10, an untrained one over 20."""
WORN_SNR = 3.0
"""With a waveform that is followed this closely, in dB, spectra may differ where nothing sounds."""


def check_round_trip(
    audio: Tensor, decoded: Tensor, *, sample_rate: int | None = None, latents: str = "latents"
) -> Finding:
    """Hold audio against what comes back from the latents, before any model: the best to hope for.

    Args:
        audio: `(b, c, t)`.
        decoded: Encoded and decoded, `(b, c, t)` up to padding.
        sample_rate: Hz, for the sounds of a report; None plays none.
        latents: What they are called.
    """
    snr, distance = compare_sounds(decoded, audio)
    figures = {"snr_db": snr, "spectral_distance_db": distance}
    message = (
        f"audio comes back from the {latents} with {snr:.1f} dB of signal over error and spectra "
        f"{distance:.1f} dB apart, right is over {WORN_SNR:.0f} dB or under {WORN_DISTANCE:.0f} dB"
    )
    sounds = () if sample_rate is None else (
        Sound("original", audio[0].float().cpu(), sample_rate, "", "round trip"),
        Sound("from its latents", decoded[0].float().cpu(), sample_rate, "", "round trip"),
    )  # fmt: skip
    if snr >= WORN_SNR or distance <= WORN_DISTANCE:
        return Finding("round trip", "ok", message, "", figures, (), sounds)
    verdict: Severity = "wrong" if distance > BROKEN_ROUND_TRIP and snr < 0 else "suspicious"
    return Finding(
        "round trip", verdict, message,
        "listen to the autoencoder alone: load its trained weights, feed it audio of its own "
        "sample rate, or train it longer", figures, (), sounds,
    )  # fmt: skip
