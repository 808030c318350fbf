"""Whether the network is told the noise levels that its states have."""

from __future__ import annotations

from audio_diffusion_pytorch.diagnostics.finding import Finding, Severity
from audio_diffusion_pytorch.diagnostics.report import CurvePlot

from .recording import Trajectory
from .steps import told_and_true, windowed
from .words import spoken

LEVEL_OFF, LEVEL_WRONG = 3.0, 6.0
"""dB between the level told and the true one: solvers of high order differ by 0.7 dB from it over
30 steps, by 2.9 over 10, most where they are bent most."""


def check_told_levels(trajectory: Trajectory) -> Finding:
    """Hold the levels told to the network against those its states have ("told levels").

    The true level follows from how each state was made of what the network said before
    (`true_level`, added up from the start noise on), so this holds for any network, trained or not.

    Args:
        trajectory: The calls of a sampler.
    """
    calls = trajectory.calls
    pairs = [(true, told) for told, true in told_and_true(trajectory)]
    strange = [call for call in calls if not call.in_range]
    off = [windowed(told) - windowed(true) for true, told in pairs]
    worst = max(range(len(off)), key=lambda place: abs(off[place]))
    true, told = pairs[worst]
    places = list(range(1, len(pairs) + 1))
    curves = (
        CurvePlot(
            "Noise levels told to the network",
            {"told": (places, [p[1] for p in pairs]), "true": (places, [p[0] for p in pairs])},
            log=False, x_label="network call", y_label="signal over noise, dB",
        ),
    )  # fmt: skip
    rises = windowed(calls[-1].decibels) < windowed(calls[0].decibels)
    figures: dict[str, float | str] = {
        "largest difference, dB": off[worst],
        "at network call": float(worst + 1),
        "told there, dB": told,
        "true there, dB": true,
        "calls told an unknown level": float(len(strange)),
        "first level told, dB": calls[0].decibels,
        "last level told, dB": calls[-1].decibels,
    }
    verdict: Severity = "wrong"
    remedy = (
        "sample with the schedule that was trained and tell the network the level of the state: "
        "use DiffusionSampler(model.diffusion), which takes both from the model"
    )
    if strange:
        message = (
            f"{len(strange)} of {len(calls)} network calls are told a level such as "
            f"{strange[0].told:.4g}, which training never says"
        )
    elif rises:
        message = (
            f"the network is told ever more noise, from {calls[0].decibels:+.0f} to "
            f"{calls[-1].decibels:+.0f} dB of signal over noise, right is ever less"
        )
        remedy = "turn the grid around: its times must fall from 1 (noise) to 0 (clean)"
    else:
        magnitude = abs(off[worst])
        verdict = "ok"
        if magnitude > LEVEL_OFF:
            verdict = "wrong" if magnitude > LEVEL_WRONG else "suspicious"
        message = (
            f"at network call {worst + 1} of {len(calls)} the network is told {spoken(told)} of "
            f"signal over noise and its state has {spoken(true)} (right is within "
            f"{LEVEL_OFF:g} dB)"
        )
        if verdict == "ok":
            message = (
                f"the levels told to the network are those of its states, at most {magnitude:.1f} "
                f"dB off over {len(calls)} calls (right is within {LEVEL_OFF:g} dB)"
            )
            remedy = ""
    return Finding("levels told to the network", verdict, message, remedy, figures, curves)
