"""Checks of what the files of a folder are: readable, of one rate, and what that rate really is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from audio_diffusion_pytorch.data.audio_file import AudioInfo
from audio_diffusion_pytorch.diagnostics.finding import Finding, Severity

from .scan import FolderScan
from .sounds import SoundFacts
from .wording import counted, naming, out_of, percent

READABLE, RATES, BANDWIDTH = "readable files", "sample rates", "bandwidth"

STANDARD_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 88200, 96000)
# Filters leave the last tenth below half the rate empty, and MP3 ends at 16 kHz of 22.05.
FULL_BAND = 0.7
RATE_SLACK = 0.98  # an edge is found a little late
FEW_FILES = 0.02  # of the files: so few do not change what a model learns


def check_readable(scan: FolderScan) -> Finding:
    """Say how much of a folder was looked at, and name the files that cannot be read."""
    looked = len(scan.headers) + len({name for name, _ in scan.unreadable} - scan.headers.keys())
    bad = list(dict.fromkeys(name for name, _ in scan.unreadable))
    figures = {
        "files": scan.num_files,
        "files whose header was read": looked,
        "files heard": scan.heard_files,
        "seconds heard": scan.heard_seconds,
        "files that cannot be read": len(bad),
        "stopped because the time was up": "yes" if scan.stopped else "no",
    }
    message = (
        f"{out_of(looked, scan.num_files, 'file')} looked at, {scan.heard_seconds:.0f} s "
        f"out of {scan.heard_files} of them heard, {len(bad)} cannot be read, right is 0"
    )
    if not bad:
        return Finding(READABLE, "ok", message, figures=figures)
    verdict: Severity = "wrong" if len(bad) == looked else "suspicious"
    remedy = f"remove them or set data.bad=skip{naming(bad)}"
    return Finding(READABLE, verdict, message, remedy, figures)


def check_sample_rates(headers: Mapping[str, AudioInfo], sample_rate: int | None = None) -> Finding:
    """Judge whether all files have one rate, and none lacks what the wanted rate holds.

    Args:
        headers: By name.
        sample_rate: Of training, Hz; None: the most common one.
    """
    counts = Counter(info.sample_rate for info in headers.values())
    common = max(counts, key=lambda rate: (counts[rate], rate), default=0)
    wanted = sample_rate or common
    below = [name for name, info in headers.items() if info.sample_rate < wanted]
    listed = ", ".join(f"{rate} Hz x {count}" for rate, count in sorted(counts.items()))
    figures: dict[str, float | str] = {
        "files looked at": len(headers),
        "sample rates": listed,
        "wanted rate in Hz": wanted,
        "files below the wanted rate": len(below),
    }
    used = f"training at {wanted} Hz" if sample_rate else f"most have {wanted} Hz"
    message = f"{counted(len(counts), 'sample rate')} ({listed}), {used}"
    few = len(below) <= FEW_FILES * len(headers)
    if (len(counts) <= 1 and not below) or (sample_rate and few):
        right = "right is none below that" if sample_rate else "right is 1"
        return Finding(RATES, "ok", f"{message}, {right}", figures=figures)
    message += ", right is 1" if len(counts) > 1 else f", right is {wanted} Hz"
    if below:
        highest = max(headers[name].sample_rate for name in below) // 2
        message += f": {out_of(len(below), len(headers), 'file')} hold nothing above {highest} Hz"
    others = below or [name for name, info in headers.items() if info.sample_rate != common]
    remedy = (
        f"set data.sample_rate={min(counts)} or leave those files out{naming(others)}, and never "
        "read all as if they had one rate, which changes their pitch"
    )
    return Finding(RATES, "suspicious", message, remedy, figures)


def check_bandwidth(sounds: Sequence[SoundFacts], sample_rate: int | None = None) -> Finding:
    """Name the files whose spectrum ends abruptly, far below what their rate could hold.

    Args:
        sounds: At their own rates.
        sample_rate: Of training, Hz; what lies above half of it does not matter. None: all does.
    """
    real: dict[str, tuple[int, float]] = {}  # by file, its rate and the highest edge
    for sound in sounds:
        if sound.rms:
            edge = sound.edge or sound.sample_rate / 2
            before = real.get(sound.name, (0, 0.0))[1]
            real[sound.name] = sound.sample_rate, max(edge, before)
    useful = {name: min(rate, sample_rate or rate) for name, (rate, _) in real.items()}
    named = {
        name: real_rate(edge)
        for name, (_, edge) in real.items()
        if 2 * edge < FULL_BAND * useful[name]
    }
    message = (
        f"{out_of(len(named), len(real), 'file')} with far less treble than the rate could hold, "
        "right is 0"
    )
    figures: dict[str, float | str] = {"files looked at": len(real), "upsampled files": len(named)}
    if not named:
        return Finding(BANDWIDTH, "ok", message, figures=figures)
    figures |= {f"real rate of {name} in Hz": rate for name, rate in list(named.items())[:20]}
    rate = Counter(named.values()).most_common(1)[0][0]
    first = next(name for name, found in named.items() if found == rate)
    message = (
        f"{out_of(len(named), len(real), 'file')} ({percent(len(named) / len(real))}) with nothing "
        f"above {round(real[first][1])} Hz, what a {rate} Hz recording holds, right is up to about "
        f"{useful[first] // 2} Hz"
    )
    chosen = [name for name, found in named.items() if found == rate]
    remedy = (
        f"leave out the files that were upsampled or encoded at a low bit rate{naming(chosen)} or "
        f"set data.sample_rate={rate}"
    )
    return Finding(BANDWIDTH, "suspicious", message, remedy, figures)


def real_rate(edge: float) -> int:
    """The lowest usual sample rate in Hz that holds frequencies up to `edge` Hz."""
    needed = 2 * edge * RATE_SLACK
    return next((rate for rate in STANDARD_RATES if rate >= needed), round(2 * edge))
