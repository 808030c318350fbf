"""What everybody would hear at once: no numbers, too quiet, silent, clipped, off the middle."""

from __future__ import annotations

import math

from torch import Tensor

from audio_diffusion_pytorch.diagnostics.finding import Finding, Severity, graded
from audio_diffusion_pytorch.diagnostics.trajectory.words import beside, loudness_remedy
from audio_diffusion_pytorch.metrics import dc_offset, peak_db, rms_db

LEVEL_OFF, LEVEL_WRONG = 3.0, 12.0
"""dB between the mean levels of samples and data: heard at once, and a quarter of the amplitude."""
SILENT_BELOW = 40.0
"""dB under the data's median level: what is quieter counts as silent."""
SILENT, SILENT_WRONG = 0.1, 0.5
"""Share of silent samples over that of the data."""
CLIPPED, CLIPPED_WRONG = 0.02, 0.1
"""Share of values beyond full scale over that of the data: small sound models overshoot in one
value of a hundred, samples of four times the amplitude do in one of ten."""
FULL_SCALE = 1.0
DC, DC_WRONG = 0.1, 0.3
"""Offset over rms level, over that of the data: 0.1 is 20 dB under the sound."""


def check_finite_samples(samples: Tensor) -> Finding:
    """Find samples `(n, c, t)` that are no numbers ("NaN")."""
    bad = int((~samples.isfinite()).flatten(1).any(1).sum())
    count = len(samples)
    figures: dict[str, float | str] = {"samples that are no numbers": float(bad)}
    message = f"{bad} of {count} samples hold NaN or infinity, right is none"
    if not bad:
        return Finding("finite samples", "ok", message, "", figures)
    remedy = (
        "look for the module that made it with train.debug_numerics=true, and sample in float32; "
        "with epsilon prediction start below time 1, where its guesses have no bound"
    )
    return Finding("finite samples", "wrong", message, remedy, figures, symptom=True)


def check_sample_level(
    samples: Tensor, data: Tensor, *, scaled: bool = False, guided: bool = False
) -> Finding:
    """Hold the mean level of samples against that of the data ("too quiet", "too loud").

    Means over sounds of their rms levels in dB, none lower than 40 dB under the data's median. Two
    standard errors of the difference are forgiven beside the 3 dB: few samples of data with quiet
    and loud sounds say little.

    Args:
        samples: Sounds of the model `(n, c, t)`.
        data: Real sounds `(m, c, t)`.
        scaled: Whether a normaliser stands between the sounds and the diffusion.
        guided: Whether they were sampled with guidance.
    """
    floor = _silence(data)
    made, real = (rms_db(x).double().clamp_min(floor) for x in (samples, data))
    off = float(made.mean() - real.mean())
    chance = 2 * math.sqrt(sum(_variance(x) / len(x) for x in (made, real)))
    allowed = LEVEL_OFF + chance
    verdict: Severity = "ok"
    if abs(off) > allowed:
        verdict = "wrong" if abs(off) > LEVEL_WRONG + chance else "suspicious"
    figures: dict[str, float | str] = {
        "level of the samples, dBFS": float(made.mean()),
        "level of the data, dBFS": float(real.mean()),
        "difference, dB": off,
        "allowed difference, dB": allowed,
        "highest peak, dBFS": float(peak_db(samples).max()),
    }
    said, bound = beside(off, allowed, sign=True)
    message = (
        f"samples have {float(made.mean()):.1f} dBFS rms, the data {float(real.mean()):.1f}: "
        f"{said} dB (right is within {bound} dB)"
    )
    remedy = ""
    if verdict != "ok":
        remedy = (
            "do not turn the volume up afterwards, it would hide the cause: "
            f"{loudness_remedy(scaled, guided)}, and see the checks of the trajectory"
        )
    return Finding("level of the samples", verdict, message, remedy, figures, symptom=True)


def check_sample_silence(samples: Tensor, data: Tensor) -> Finding:
    """Find samples 40 dB quieter than the data's median ("silence").

    Args:
        samples: Sounds of the model `(n, c, t)`.
        data: Real sounds `(m, c, t)`.
    """
    floor = _silence(data)
    made, real = (float((rms_db(x) < floor).double().mean()) for x in (samples, data))
    excess = made - real
    verdict = graded(excess, SILENT, SILENT_WRONG)
    figures: dict[str, float | str] = {
        "silent samples, share": made,
        "silent data, share": real,
        "silent under, dBFS": floor,
    }
    message = (
        f"{100 * made:.3g} % of the samples are silent (under {floor:.0f} dBFS), as are "
        f"{100 * real:.3g} % of the data (right is at most {100 * SILENT:.0f} % more)"
    )
    remedy = ""
    if verdict != "ok":
        remedy = (
            "a network that guesses the mean of all sounds makes silence: see whether it learnt "
            "anything (loss against the possible), then latents, schedule and sampler in this order"
        )
    return Finding("silent samples", verdict, message, remedy, figures, symptom=True)


def check_sample_clipping(samples: Tensor, data: Tensor) -> Finding:
    """Find samples that go beyond full scale ("clipping").

    Args:
        samples: Sounds of the model `(n, c, t)`.
        data: Real sounds `(m, c, t)`.
    """
    made, real = (float((x.abs() >= FULL_SCALE).double().mean()) for x in (samples, data))
    excess = made - real
    verdict = graded(excess, CLIPPED, CLIPPED_WRONG)
    peak = float(samples.abs().max())
    figures: dict[str, float | str] = {
        "values at full scale or beyond, share": made,
        "the same of the data, share": real,
        "highest magnitude": peak,
        "highest magnitude of the data": float(data.abs().max()),
    }
    message = (
        f"{100 * made:.2g} % of the samples' values reach full scale, up to {peak:.2f}, "
        f"of the data {100 * real:.2g} %, up to {float(data.abs().max()):.2f} (right is at most "
        f"{100 * CLIPPED:.0f} % more)"
    )
    remedy = ""
    if verdict != "ok":
        remedy = (
            "lower the guidance scale, take more steps, or train on data with headroom "
            "(data.normalize=peak); a limiter when saving only hides it"
        )
    return Finding("clipped samples", verdict, message, remedy, figures, symptom=True)


def check_sample_dc(samples: Tensor, data: Tensor) -> Finding:
    """Find samples that swing about another value than 0 ("DC").

    Args:
        samples: Sounds of the model `(n, c, t)`.
        data: Real sounds `(m, c, t)`.
    """
    made, real = _offset(samples), _offset(data)
    excess = made - real
    verdict = graded(excess, DC, DC_WRONG)
    figures: dict[str, float | str] = {
        "offset over rms of the samples": made,
        "offset over rms of the data": real,
    }
    message = (
        f"the samples' mean value is {100 * made:.2g} % of their rms level, the data's "
        f"{100 * real:.2g} % (right is at most {100 * DC:.0f} % more)"
    )
    remedy = ""
    if verdict != "ok":
        remedy = (
            "take the mean from the training clips, fit the normalizer anew, and use no output "
            "that cannot go below 0 (sigmoid, ReLU)"
        )
    return Finding("DC of the samples", verdict, message, remedy, figures, symptom=True)


def _silence(data: Tensor) -> float:
    return float(rms_db(data).median()) - SILENT_BELOW


def _variance(x: Tensor) -> float:
    return float(x.var()) if len(x) > 1 else 0.0


def _offset(audio: Tensor) -> float:
    power = float(audio.double().square().mean())
    offset = float(dc_offset(audio).double().square().mean())
    return math.sqrt(offset / power) if power > 0 else 0.0
