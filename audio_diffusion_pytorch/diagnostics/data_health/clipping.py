"""A check for waveforms that were cut off."""

from __future__ import annotations

from collections.abc import Sequence

from audio_diffusion_pytorch.diagnostics.finding import Finding, Severity

from .sounds import SoundFacts, to_db
from .wording import naming, out_of, percent

CLIPPING = "clipping"

TOPS_PER_SECOND = 2.0  # a stray one at a single accident is no fault of the sound
FULL_SCALE = 0.999
# One sound in twenty: mastered music has some. Where half of the sounds are cut off, and on
# average every hundredth sample of them, the distortion is what the model learns.
SUSPICIOUS_SOUNDS, WRONG_SOUNDS, WRONG_SHARE = 0.05, 0.5, 0.01


def check_clipping(sounds: Sequence[SoundFacts]) -> Finding:
    """Name the sounds whose tops are flat, at full scale or (turned down later) below it."""
    cut = [sound for sound in sounds if sound.tops.runs > TOPS_PER_SECOND * max(1.0, sound.seconds)]
    samples = sum(sound.tops.share for sound in cut) / max(1, len(cut))
    below = [sound for sound in cut if sound.tops.level < FULL_SCALE]
    figures = {
        "sounds looked at": len(sounds),
        "clipped sounds": len(cut),
        "clipped below full scale": len(below),
        "share of the samples of a clipped sound on flat tops": samples,
    }
    message = (
        f"{out_of(len(cut), len(sounds), 'sound')} with tops cut flat, right is under "
        f"{percent(SUSPICIOUS_SOUNDS)}"
    )
    part = len(cut) / max(1, len(sounds))
    if part <= SUSPICIOUS_SOUNDS:
        return Finding(CLIPPING, "ok", message, figures=figures)
    verdict: Severity = "suspicious"
    if part > WRONG_SOUNDS and samples > WRONG_SHARE:
        verdict = "wrong"
    level = max(sound.tops.level for sound in cut)
    where = (
        "at full scale"
        if not below
        else f"also below full scale, the highest at {to_db(level):.1f} dBFS"
    )
    message += f": {percent(samples)} of their samples, {where}"
    worst = sorted(cut, key=lambda sound: -sound.tops.share)
    remedy = "record or export again at a lower level" + naming([sound.name for sound in worst])
    remedy += "; turning them down does not bring the tops back"
    return Finding(CLIPPING, verdict, message, remedy, figures)
