"""The times a sampler visits: from noise to clean, each a step the solver can make."""

from __future__ import annotations

import torch
from torch import Tensor

from audio_diffusion_pytorch.diagnostics.finding import Finding, Severity
from audio_diffusion_pytorch.diagnostics.report import CurvePlot
from audio_diffusion_pytorch.diagnostics.trajectory.words import beside
from audio_diffusion_pytorch.protocols import NoiseSchedule

from .levels import CLEAN_DB, PURE_NOISE_DB, in_words, snr_db

LONGEST_DB = 20.0
"""A step from noise ten times as loud to the next level; and never less than four even steps."""
EVEN_STEPS = 4.0
LAST_DB, MANY_STEPS = 10.0, 8
"""Of so many steps, the last one should not have to take noise off that is louder than this, in dB
under the sound."""
NOISE_LEFT_DB, MUCH_LEFT_DB = 30.0, 15.0
"""Noise so many dB under the sound is heard as hiss; and as a fault."""
_EASY = "let the sampler make its times: LinearSchedule(), EvenLevels(schedule) or "
_EASY += "ExponentialSchedule(schedule)"


def check_sampling_grid(
    times: Tensor, schedule: NoiseSchedule, num_steps: int | None = None, std: float = 1.0
) -> Finding:
    """Look at whether times can be walked by a sampler, and how evenly they cover the levels.

    Args:
        times: What a grid gives for `num_steps + 1` times `(n + 1,)`, the first the noisiest.
        schedule: What the times mean.
        num_steps: Steps asked for; None asks for as many as there are.
        std: Root mean square of the data in the space of the diffusion.
    """
    times = times.detach().to("cpu", torch.float64).flatten()
    asked = len(times) - 1 if num_steps is None else num_steps
    figures = {"steps_asked": float(asked), "steps": float(len(times) - 1)}
    if len(times):
        figures |= {"first_time": float(times[0]), "last_time": float(times[-1])}
    unwalkable = _cannot_be_walked(times, asked)
    if unwalkable is not None:
        return Finding("sampling grid", "wrong", *unwalkable, figures)
    levels = snr_db(schedule, times, std)
    held = levels.clamp(PURE_NOISE_DB, CLEAN_DB)
    steps = held.diff()
    inner = steps[:-1] if len(steps) > 1 else steps[:0]
    longest = float(inner.max()) if len(inner) else 0.0
    before_last = float(levels[-2])
    even = (CLEAN_DB - PURE_NOISE_DB) / len(steps)
    figures |= {
        "longest_step_db": longest,
        "even_step_db": even,
        "before_last_step_db": before_last,
        "end_snr_db": float(levels[-1]),
    }
    places = [float(place) for place in range(len(times))]
    line = {"sound over noise": (places, levels.clamp(-60, 60).tolist())}
    curves = (CurvePlot("levels that sampling visits", line, False, "step", "dB"),)
    verdict, message, remedy = _judge(levels.tolist(), longest, even, before_last)
    if verdict != "ok" and std < 1 and _right_at_full_scale(times, schedule):
        message += f", as the data have a deviation of {std:.3g} where the schedule assumes 1"
        remedy = (
            f"multiply the clips by {1 / std:.3g} and the samples by {std:.3g} (the input scale), "
            "diffuse in a space with a LatentNormalizer (model.transform=mdct), or take more steps"
        )
    return Finding("sampling grid", verdict, message, remedy, figures, curves)


def _right_at_full_scale(times: Tensor, schedule: NoiseSchedule) -> bool:
    """Whether nothing is to be said of these times but that the data are quiet."""
    return check_sampling_grid(times, schedule, std=1.0).verdict == "ok"


def _cannot_be_walked(times: Tensor, asked: int) -> tuple[str, str] | None:
    """Return message and remedy for times that no sampler can walk."""
    shown = f"{float(times[0]):.3g} to {float(times[-1]):.3g}" if len(times) else "none"
    if not bool(torch.isfinite(times).all()) or bool(((times < 0) | (times > 1)).any()):
        return f"the times run from {shown}, right is within 1 (noise) to 0 (clean)", _EASY
    steps = times.diff()
    if len(steps) and bool((steps > 0).all()):
        return (
            f"the times rise from {shown}, right is from 1 (noise) down to 0 (clean): sampling "
            "goes in the wrong direction",
            "turn the grid around: times.flip(0)",
        )
    if len(times) - 1 != asked:
        fewer = "fewer" if len(times) - 1 < asked else "more"
        return (
            f"asked for {asked} steps the grid makes {len(times) - 1}, {fewer} than right: levels "
            f"were {'dropped' if fewer == 'fewer' else 'added'}",
            _EASY,
        )
    if not len(steps):
        return "the grid makes no step, right is at least 1", _EASY
    if not bool((steps < 0).all()):
        place = int((steps >= 0).nonzero()[0])
        return (
            f"the times do not fall at step {place + 1} ({float(times[place]):.4g} to "
            f"{float(times[place + 1]):.4g}), right is falling at every step",
            _EASY,
        )
    return None


def _judge(
    levels: list[float], longest: float, even: float, before_last: float
) -> tuple[Severity, str, str]:
    count, end = len(levels) - 1, levels[-1]
    if end < NOISE_LEFT_DB:
        verdict: Severity = "wrong" if end < MUCH_LEFT_DB else "suspicious"
        return (
            verdict,
            f"the last of {count} steps ends where the sound is {in_words(end)}, right is clean "
            "(time 0): the noise that is left stays in the sound",
            "end the grid with time 0",
        )
    allowed = max(LONGEST_DB, EVEN_STEPS * even)
    said, _ = beside(longest, allowed)
    message = (
        f"{count} steps, the longest of {said} dB, right is under {allowed:.0f} dB (even "
        f"steps would be {even:.1f} dB); the last one takes off noise where the sound is "
        f"{in_words(before_last)}"
    )
    if longest > allowed:
        return "suspicious", f"{message}: a solver loses its way in such a step", _EASY
    if count >= MANY_STEPS and before_last < LAST_DB:
        return "suspicious", f"{message}, right is at least {LAST_DB:.0f} dB over it", _EASY
    return "ok", message, ""
