"""A check of the lengths of the files against that of a clip."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

import torch

from audio_diffusion_pytorch.diagnostics.finding import Finding, graded
from audio_diffusion_pytorch.diagnostics.report import CurvePlot

from .sounds import SoundFacts
from .wording import out_of, percent, quantile

LENGTHS, PADDING = "file lengths", "padding"

# Zeros at the end of a clip are learnt as the music stopping. A tenth of the time goes by
# unnoticed; at half of it the model learns silence first.
PADDING_SUSPICIOUS, PADDING_WRONG = 0.1, 0.5
SKIPPED_SUSPICIOUS, SKIPPED_WRONG = 0.2, 0.9
BINS = 20


def check_lengths(
    seconds: Sequence[float],
    clip_seconds: float | None = None,
    short: Literal["pad", "skip", "refuse"] = "pad",
) -> Finding:
    """Judge the lengths of the files: what too short ones cost in padding, or are lost.

    Args:
        seconds: Of the files, in s.
        clip_seconds: Length of a clip, in s; None: not known, nothing is judged.
        short: What becomes of shorter files, as in `AudioFolder`.
    """
    shortest, longest = min(seconds, default=0.0), max(seconds, default=0.0)
    middle = quantile(seconds, 0.5) if seconds else 0.0
    figures: dict[str, float | str] = {
        "files looked at": len(seconds),
        "total in s": sum(seconds),
        "shortest in s": shortest,
        "median in s": middle,
        "longest in s": longest,
    }
    message = _spoken(shortest, middle, longest)
    plots = (_histogram(seconds, clip_seconds),) if seconds else ()
    if clip_seconds is None or not seconds:
        return Finding(LENGTHS, "ok", message, figures=figures, curves=plots)
    # Half a millisecond: lengths at another rate are rounded.
    under = [length for length in seconds if length < clip_seconds - 5e-4]
    slots = sum(max(1, int(length / clip_seconds)) for length in seconds)
    padding = sum(clip_seconds - length for length in under) / (slots * clip_seconds)
    part = len(under) / len(seconds)
    figures |= {
        "clip in s": clip_seconds,
        "files shorter than a clip": len(under),
        "share of padding": 0.0 if short == "skip" else padding,
    }
    message += (
        f", {out_of(len(under), len(seconds), 'file')} shorter than a clip of {clip_seconds:.3g} s"
    )
    if short == "skip":
        message += f" and left out, right is under {percent(SKIPPED_SUSPICIOUS)}"
        verdict = graded(part, SKIPPED_SUSPICIOUS, SKIPPED_WRONG)
    else:
        message += f", so that {percent(padding)} of the clips is padding, right is under "
        message += percent(PADDING_SUSPICIOUS)
        verdict = graded(padding, PADDING_SUSPICIOUS, PADDING_WRONG)
    if verdict == "ok":
        return Finding(LENGTHS, "ok", message, figures=figures, curves=plots)
    remedy = f"set data.length to at most {quantile(seconds, 0.1):.3g} s of samples"
    remedy += "" if short == "skip" else " or data.short=skip"
    return Finding(LENGTHS, verdict, message, remedy, figures, plots)


def check_padding(sounds: Sequence[SoundFacts]) -> Finding:
    """Judge how much of the clips, as training sees them, is exact zeros at their end."""
    total = sum(sound.num_frames for sound in sounds)
    padded = [sound for sound in sounds if sound.padding > sound.sample_rate // 100]
    part = sum(sound.padding for sound in padded) / max(1, total)
    message = (
        f"{percent(part)} of the clips is zeros at their end, in "
        f"{out_of(len(padded), len(sounds), 'clip')}, right is under {percent(PADDING_SUSPICIOUS)}"
    )
    figures = {
        "clips looked at": len(sounds),
        "padded clips": len(padded),
        "share of padding": part,
    }
    verdict = graded(part, PADDING_SUSPICIOUS, PADDING_WRONG)
    if verdict == "ok":
        return Finding(PADDING, "ok", message, figures=figures)
    whole = [(s.num_frames - s.padding) / s.sample_rate for s in sounds]
    remedy = f"set data.length to about {quantile(whole, 0.1):.3g} s of samples or data.short=skip"
    return Finding(PADDING, verdict, message, remedy, figures)


def _spoken(shortest: float, middle: float, longest: float) -> str:
    """Lengths in s in words: one number where they are all the same."""
    low, half, high = f"{shortest:.3g}", f"{middle:.3g}", f"{longest:.3g}"
    if low == high:
        return f"all files of {low} s"
    usual = f"most of them {half} s" if half in (low, high) else f"half of them over {half} s"
    return f"files of {low} to {high} s, {usual}"


def _histogram(seconds: Sequence[float], clip_seconds: float | None) -> CurvePlot:
    """How many files have which length, each bar as a step between its edges."""
    top = max([*seconds, clip_seconds or 0.0]) * 1.02
    counts = torch.histc(torch.tensor(seconds, dtype=torch.float64), BINS, 0.0, top).tolist()
    edges = torch.linspace(0.0, top, BINS + 1).tolist()
    places = [edge for pair in pairwise(edges) for edge in pair]
    lines = {"files": (places, [count for count in counts for _ in range(2)])}
    if clip_seconds is not None:
        lines["a clip"] = ([clip_seconds, clip_seconds], [0.0, max(counts)])
    return CurvePlot("Length of the files", lines, False, "s", "files")
