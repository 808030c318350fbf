"""How far the guesses on the way are from what the sampler comes to."""

from __future__ import annotations

from audio_diffusion_pytorch.diagnostics.finding import Finding, Severity
from audio_diffusion_pytorch.diagnostics.report import CurvePlot

from .recording import Trajectory
from .reference import Reference, rms
from .steps import LEVEL_WINDOW
from .words import decibels, figure, spoken

DRIFT_OFF, DRIFT_WRONG = 6.0, 12.0
"""dB: twice, and four times, the error that the network has on real clips."""


def check_guesses(trajectory: Trajectory, reference: Reference) -> Finding:
    """Hold the network's errors on the way against those on real clips ("guesses").

    No clean signal is known on the way, so the error of a guess is its distance to what the
    sampler comes to in the end: if a sampler stays where training was, its guesses miss that by no
    more than guesses from noised real clips miss the clean ones (exactly as much for a sampler that
    adds fresh noise, less for one that does not).

    Args:
        trajectory: The calls of a sampler.
        reference: Real clips at some of the levels.
    """
    calls = trajectory.calls
    end = calls[-1].guess
    if trajectory.finished is not None and trajectory.finished.shape == end.shape:
        end = trajectory.finished.float().to(end)
    rows = []
    for level in reference.levels:
        call = min(calls, key=lambda c: abs(c.time - level.time))
        if call.guess.shape == end.shape and level.error > 0:
            rows.append((call.decibels, rms(call.guess - end), rms(call.guess), level))
    looked = [row for row in rows if abs(row[0]) <= LEVEL_WINDOW] or rows
    if not looked:
        message = "the sampler asks the network in batches of many sizes: no guesses to compare"
        return Finding("guesses on the way", "ok", message)
    at, drift, _, level = max(looked, key=lambda row: decibels(row[1], row[3].error))
    off = decibels(drift, level.error)
    levels = [row[0] for row in rows]
    curves = (
        CurvePlot(
            "How far guesses are from the end",
            {
                "sampler, to its result": (levels, [row[1] for row in rows]),
                "real clips, to the clean clip": (levels, [row[3].error for row in rows]),
                "sampler, size of the guess": (levels, [row[2] for row in rows]),
                "real clips, size of the guess": (levels, [row[3].guess for row in rows]),
            },
            log=False, x_label="signal over noise, dB", y_label="root mean square",
        ),
    )  # fmt: skip
    verdict: Severity = "ok"
    if off > DRIFT_OFF:
        verdict = "wrong" if off > DRIFT_WRONG else "suspicious"
    message = (
        f"at {spoken(at)} of signal over noise the guess is {drift:.3f} from the finished sound, "
        f"{10 ** (off / 20):.2f} times the {level.error:.3f} by which the network misses real "
        f"clips there (right is at most {10 ** (DRIFT_OFF / 20):.0f} times)"
    )
    remedy = (
        "the sampler asks the network about signals it was not trained on: see the checks of the "
        "state and its levels first, then lower the guidance scale or take more steps"
    )
    figures: dict[str, float | str] = {
        "level, dB": at,
        "distance to the finished sound": figure(drift),
        "error on real clips": figure(level.error),
        "ratio, dB": figure(off),
    }
    remedy = "" if verdict == "ok" else remedy
    return Finding("guesses on the way", verdict, message, remedy, figures, curves)
