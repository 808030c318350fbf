"""Checks of how loud the data are: level, peak, offset, silence, samples that are no numbers."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from audio_diffusion_pytorch.data.normalize import CLIP_PEAK_DB, SILENCE_PEAK
from audio_diffusion_pytorch.diagnostics.finding import Finding, Severity, graded
from audio_diffusion_pytorch.diagnostics.report import CurvePlot

from .sounds import SoundFacts, from_db, to_db
from .wording import naming, number, out_of, percent, quantile

LEVEL, PEAK, DC, SILENCE, FINITE = "level", "peak", "DC offset", "silence", "finite samples"

# The loudest tenth of a data set is its forte. Music is mastered to about -20..-8 dBFS there; a
# recording left alone may be at -35. Under -40 a listener turns the volume up all the way, under
# -50 a 16-bit file has fewer than eight bits left for the sound.
QUIET_DB, FAINT_DB = -40.0, -50.0
LOUD_DB = -3.0  # a full-scale sine: only square waves are louder
WANTED_DB = -18.0
FULL_SCALE = 1.001
INTEGERS = 8.0  # +18 dB over full scale is no float recording: integers that nobody divided
# In a sound without offset the mean is a few thousandths of the rms. At a tenth it is 1 % of the
# power; at three tenths it is 10 %, and what the loss sees first of all.
DC_SUSPICIOUS, DC_WRONG = 0.1, 0.3
SILENT_BELOW_DB = 60.0  # under the forte
SILENT_FLOOR_DB = -90.0  # rounding of a 16-bit file
# Rests and decays belong to music; more than a third silence teaches silence above all.
SILENCE_SUSPICIOUS, SILENCE_WRONG = 0.35, 0.8
SILENT_SOUNDS = 0.1  # of the clips may be silent from end to end


def check_finite(sounds: Sequence[SoundFacts]) -> Finding:
    """Name the sounds with NaN or infinity among their samples: one makes the loss NaN."""
    bad = [sound for sound in sounds if sound.not_finite]
    figures = {
        "sounds looked at": len(sounds),
        "sounds with NaN or infinity": len(bad),
        "samples that are NaN or infinite": sum(sound.not_finite for sound in bad),
    }
    names = naming([sound.name for sound in bad])
    message = f"{out_of(len(bad), len(sounds), 'sound')} with NaN or infinite samples, right is 0"
    if not bad:
        return Finding(FINITE, "ok", message, figures=figures)
    remedy = "remove these files or set data.bad=skip"
    return Finding(FINITE, "wrong", message + names, remedy, figures)


def check_level(sounds: Sequence[SoundFacts], normalized: bool | None = None) -> Finding:
    """Judge the rms level of the loudest tenth of the sounds, and tell the gain to use.

    Args:
        sounds: What was measured.
        normalized: Whether the model has a `LatentNormalizer`, which makes quiet data harmless for
            the noise schedule (though not for the ear); None: not known.
    """
    forte = forte_db(sounds)
    peak = to_db(max((sound.peak for sound in sounds), default=0.0))
    gain = min(WANTED_DB - forte, CLIP_PEAK_DB - peak)
    verdict: Severity = "ok"
    message = (
        f"the loudest tenth is at {forte:.1f} dBFS rms, right is {QUIET_DB:.0f} to {LOUD_DB:.0f}"
    )
    remedy = ""
    if forte < QUIET_DB:
        verdict = "wrong" if forte < FAINT_DB and normalized is False else "suspicious"
        message += (
            ": too quiet for the ear, though the normaliser makes up for it in training"
            if normalized
            else ": too quiet"
        )
        # data.normalize leaves clips alone that never pass -60 dBFS.
        left = sum(sound.peak < SILENCE_PEAK for sound in sounds)
        remedy = f"turn all files up by {gain:.1f} dB (times {number(from_db(gain))})"
        remedy += "" if left > SILENT_SOUNDS * len(sounds) else " or set data.normalize=peak"
    elif forte > LOUD_DB:
        verdict = "suspicious"
        message += ": too loud"
        remedy = (
            f"turn all files down by {-gain:.1f} dB (times {number(from_db(gain))}) or set "
            "data.normalize=loudness"
        )
    levels = [sound.rms_db for sound in sounds]
    figures = {
        "sounds looked at": len(sounds),
        "rms of the loudest tenth in dBFS": forte,
        "median rms in dBFS": quantile(levels, 0.5),
        "rms of the quietest tenth in dBFS": quantile(levels, 0.1),
        "gain to use in dB": gain,
        "gain to use as a factor": from_db(gain),
    }
    return Finding(LEVEL, verdict, message, remedy, figures, (_level_histogram(levels),))


def check_peak(sounds: Sequence[SoundFacts]) -> Finding:
    """Judge the largest sample: over 1 it is cut off when it is saved."""
    highest = max((sound.peak for sound in sounds), default=0.0)
    over = [sound for sound in sounds if sound.peak > FULL_SCALE]
    message = f"the highest peak is {highest:.4g} ({to_db(highest):.1f} dBFS), right is at most 1"
    figures = {
        "sounds looked at": len(sounds),
        "highest peak": highest,
        "highest peak in dBFS": to_db(highest),
        "sounds over full scale": len(over),
    }
    if not over:
        return Finding(PEAK, "ok", message, figures=figures)
    message += f", and {out_of(len(over), len(sounds), 'sound')} pass it"
    if highest > INTEGERS:
        bits = max(8, int(torch.tensor(highest).log2().ceil()))
        remedy = f"these look like integers: divide the samples by {2**bits} (2^{bits})"
        return Finding(PEAK, "wrong", message, remedy, figures)
    gain = CLIP_PEAK_DB - to_db(highest)
    remedy = (
        f"turn all files down by {-gain:.1f} dB (times {number(from_db(gain))}) or set "
        "data.normalize=peak"
    )
    return Finding(PEAK, "suspicious", message, remedy, figures)


def check_dc(sounds: Sequence[SoundFacts]) -> Finding:
    """Judge the offset of all sounds together against their level."""
    power = sum(sound.rms**2 for sound in sounds)
    offset = sum(sound.offset_rms**2 for sound in sounds)
    ratio = (offset / power) ** 0.5 if power else 0.0
    affected = [
        sound
        for sound in sounds
        if abs(sound.offset) > max(DC_SUSPICIOUS * sound.rms, SILENCE_PEAK)
    ]
    worst = max(sounds, key=lambda sound: abs(sound.offset), default=None)
    mean = (offset / max(1, len(sounds))) ** 0.5
    message = (
        f"the waveform lies {mean:.2g} off the zero line, {percent(ratio)} of its rms, right is "
        f"under {percent(DC_SUSPICIOUS)}"
    )
    figures: dict[str, float | str] = {
        "sounds looked at": len(sounds),
        "offset": mean,
        "offset over rms": ratio,
        "sounds with an offset": len(affected),
        "largest offset": worst.offset if worst else 0.0,
        "sound with the largest offset": worst.name if worst else "",
    }
    verdict = graded(ratio, DC_SUSPICIOUS, DC_WRONG)
    if verdict == "ok":
        return Finding(DC, verdict, message, figures=figures)
    message += f", in {out_of(len(affected), len(sounds), 'sound')}"
    remedy = "subtract each file's mean, or filter the files with a high-pass at 20 Hz"
    return Finding(DC, verdict, message, remedy, figures)


def check_silence(sounds: Sequence[SoundFacts]) -> Finding:
    """Judge how much is silence: 60 dB under the loudest tenth, in stretches of 50 ms."""
    limit = max(forte_db(sounds) - SILENT_BELOW_DB, SILENT_FLOOR_DB) if sounds else 0.0
    seconds = sum(sound.seconds for sound in sounds)
    shares = [float((sound.levels < limit).double().mean()) for sound in sounds]
    silent = [sound for sound, share in zip(sounds, shares, strict=True) if share == 1]
    quiet = sum(share * sound.seconds for sound, share in zip(sounds, shares, strict=True))
    part = quiet / seconds if seconds else 0.0
    message = (
        f"{percent(part)} of the time is silence (under {limit:.0f} dBFS) and "
        f"{out_of(len(silent), len(sounds), 'sound')} nothing else, right is under "
        f"{percent(SILENCE_SUSPICIOUS)} and {percent(SILENT_SOUNDS)}"
    )
    figures = {
        "sounds looked at": len(sounds),
        "share of the time that is silent": part,
        "silent below in dBFS": limit,
        "silent sounds": len(silent),
    }
    verdict = graded(part, SILENCE_SUSPICIOUS, SILENCE_WRONG)
    if verdict == "ok" and len(silent) > SILENT_SOUNDS * len(sounds):
        verdict = "suspicious"
    if verdict == "ok":
        return Finding(SILENCE, verdict, message, figures=figures)
    remedy = "cut the silence out of the files and remove the silent ones"
    remedy += naming([sound.name for sound in silent])
    return Finding(SILENCE, verdict, message, remedy, figures)


def forte_db(sounds: Sequence[SoundFacts]) -> float:
    """The rms level in dBFS that the loudest tenth of the sounds reach; -200 for none."""
    return quantile([sound.rms_db for sound in sounds], 0.9) if sounds else -200.0


def _level_histogram(levels: Sequence[float]) -> CurvePlot:
    """How many sounds have which level, in steps of 3 dB; what is under -99 dBFS counts there."""
    places = [float(level) for level in range(-99, 1, 3)]
    values = torch.tensor(levels, dtype=torch.float64).clamp(places[0], places[-1])
    counts = torch.histc(values, len(places), places[0] - 1.5, places[-1] + 1.5).tolist()
    return CurvePlot(
        "Level of the sounds", {"sounds": (places, counts)}, False, "dBFS rms", "sounds"
    )
