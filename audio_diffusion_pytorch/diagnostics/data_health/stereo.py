"""Checks of channels: mixed, the same twice, or against each other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from audio_diffusion_pytorch.data.audio_file import AudioInfo
from audio_diffusion_pytorch.diagnostics.finding import Finding, Severity

from .sounds import SoundFacts
from .wording import counted, naming, out_of, percent, quantile

CHANNELS, TWICE, POLARITY = "channels", "mono twice", "polarity"

SAME_DB = -60.0  # a difference this far under the sum cannot be heard: the channels are one
OPPOSED = -0.9  # correlation of a channel with its own inverse is -1; wide stereo is above -0.3
# Of a delayed channel the best match lies at the delay; half a period of its tone looks opposed.
ABOUT_NO_SHIFT = 2  # samples
SUSPICIOUS_SHARE = 0.05
MOSTLY = 0.5


def check_channels(headers: Mapping[str, AudioInfo], channels: int | None = None) -> Finding:
    """Judge whether all files have the same channels, and as many as training wants.

    Args:
        headers: By name.
        channels: Of training; None: not known.
    """
    counts = Counter(info.channels for info in headers.values())
    listed = ", ".join(f"{count} with {number}" for number, count in sorted(counts.items()))
    common = max(counts, key=lambda number: (counts[number], number), default=0)
    wanted = channels or common
    fewer = [name for name, info in headers.items() if info.channels < wanted]
    figures: dict[str, float | str] = {
        "files looked at": len(headers),
        "files by channels": listed,
        "wanted channels": wanted,
        "files with fewer channels": len(fewer),
    }
    message = (
        f"files by channels: {listed}, training with {wanted}"
        if channels
        else (f"files by channels: {listed}")
    )
    few = len(fewer) <= SUSPICIOUS_SHARE * len(headers)
    if (len(counts) <= 1 and not fewer) or (channels and few):
        return Finding(CHANNELS, "ok", f"{message}, right is one number", figures=figures)
    message += f", right is one number: {out_of(len(fewer), len(headers), 'file')} are narrower"
    remedy = f"set data.channels=1, or leave those files out{naming(fewer)}"
    if not fewer:
        remedy = "set data.channels to what the model is to make"
    return Finding(CHANNELS, "suspicious", message, remedy, figures)


def check_mono_twice(sounds: Sequence[SoundFacts], channels: int | None = None) -> Finding:
    """Count the stereo sounds whose channels are the same: half of the model's work for nothing.

    Args:
        sounds: What was measured.
        channels: Of training; 1 makes this harmless. None: not known.
    """
    wide = [sound for sound in sounds if sound.apart is not None]
    same = [sound for sound in wide if sound.apart is not None and sound.apart < SAME_DB]
    part = len(same) / max(1, len(wide))
    message = (
        f"{out_of(len(same), len(wide), 'stereo sound')} the same left and right, right is under "
        f"{percent(MOSTLY)}"
    )
    figures = {
        "stereo sounds looked at": len(wide),
        "sounds that are the same left and right": len(same),
    }
    if part <= MOSTLY or channels == 1:
        return Finding(TWICE, "ok", message, figures=figures)
    remedy = "set data.channels=1: the model then has half the work and makes the same sound"
    return Finding(TWICE, "suspicious", message, remedy, figures)


def check_polarity(sounds: Sequence[SoundFacts], channels: int | None = None) -> Finding:
    """Name the stereo sounds whose channels cancel when they are mixed to mono.

    Args:
        sounds: What was measured.
        channels: Of training; at 1 they are mixed. None: not known.
    """
    wide = [sound for sound in sounds if sound.agreement is not None]
    opposed = [sound for sound in wide if _upside_down(sound)]
    part = len(opposed) / max(1, len(wide))
    message = (
        f"{out_of(len(opposed), len(wide), 'stereo sound')} with one channel upside down, right is "
        "0"
    )
    losses = [sound.apart for sound in opposed if sound.apart is not None]
    figures = {
        "stereo sounds looked at": len(wide),
        "sounds with a channel upside down": len(opposed),
        "their sum under their difference in dB": quantile(losses, 0.5) if losses else 0.0,
    }
    if not opposed:
        return Finding(POLARITY, "ok", message, figures=figures)
    verdict: Severity = "wrong" if channels == 1 and part > SUSPICIOUS_SHARE else "suspicious"
    if losses:
        message += (
            f": mixed to mono {counted(len(opposed), 'sound')} lose {quantile(losses, 0.5):.0f} dB"
        )
    remedy = f"turn one channel of these files upside down{naming([s.name for s in opposed])}"
    return Finding(POLARITY, verdict, message, remedy, figures)


def _upside_down(sound: SoundFacts) -> bool:
    """Whether the channels oppose each other, and not as one that is only late would."""
    opposed = sound.agreement is not None and sound.agreement < OPPOSED
    return opposed and abs(sound.shift) <= ABOUT_NO_SHIFT
