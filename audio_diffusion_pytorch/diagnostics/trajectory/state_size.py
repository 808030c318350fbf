"""Where the state of a sampler leaves the size that training showed the network."""

from __future__ import annotations

import math

from audio_diffusion_pytorch.diagnostics.finding import Finding, Severity
from audio_diffusion_pytorch.diagnostics.report import CurvePlot

from .recording import NetCall, Trajectory
from .reference import Reference, rms
from .words import decibels, figure, loudness_remedy

SOUND_OFF, SOUND_WRONG = 3.0, 10.0
"""dB: sounds this much too loud or quiet are forgiven; musicians hear 3 dB, 10 dB sounds twice as
loud."""
NOISE_OFF, NOISE_WRONG = 0.5, 1.5
"""dB: the same for the noise of a state. It is of known size, and errors of it stay for all later
steps; a clamp at one standard deviation takes 2.9 dB."""
NOISE_RULES = -6.0
"""dB of signal over noise under which a state of the wrong size is the sampler's fault and not
that of the sound forming in it."""


def check_trajectory(
    trajectory: Trajectory, reference: Reference, *, scaled: bool = False
) -> Finding:
    """Find the first call at which the state has another size than training showed ("state").

    In training the state has the root mean square `sqrt(alpha^2 s^2 + sigma^2)`, with `s` that of
    the data. A sampler's may differ as far as sounds may be 3 dB off, and the noise in it 0.5 dB:
    little where noise rules, more where sound does.

    Args:
        trajectory: The calls of a sampler.
        reference: Real clips at some of the levels.
        scaled: Whether a normaliser stands between the sounds and the diffusion.
    """
    calls, power = trajectory.calls, reference.power
    off = [decibels(rms(call.state), _expected(call, power)) for call in calls]
    fine = [_within(call, power, SOUND_OFF, NOISE_OFF) for call in calls]
    bad = [_within(call, power, SOUND_WRONG, NOISE_WRONG) for call in calls]
    outside = [not low <= x <= high for x, (low, high) in zip(off, fine, strict=True)]
    wrong = [not low <= x <= high for x, (low, high) in zip(off, bad, strict=True)]
    levels = [call.decibels for call in calls]
    curves = (
        CurvePlot(
            "Size of the state against training",
            {
                "sampler": (levels, off),
                "lowest right": (levels, [low for low, _ in fine]),
                "highest right": (levels, [high for _, high in fine]),
            },
            log=False, x_label="signal over noise, dB", y_label="dB over training",
        ),
    )  # fmt: skip
    worst = max(range(len(off)), key=lambda place: abs(off[place]))
    figures: dict[str, float | str] = {
        "largest deviation, dB": figure(off[worst]),
        "at network call": float(worst + 1),
        "network calls": float(len(calls)),
        "calls outside": float(sum(outside)),
        "data root mean square": math.sqrt(power),
        "first deviation, dB": figure(off[0]),
        "last deviation, dB": figure(off[-1]),
    }
    if not any(outside):
        message = (
            f"at all {len(calls)} network calls the state is as large as training showed it, "
            f"at most {off[worst]:+.1f} dB off (right is within {NOISE_OFF} dB where noise rules, "
            f"{SOUND_OFF:g} dB where sound does)"
        )
        return Finding("sampler trajectory", "ok", message, "", figures, curves)
    verdict: Severity = "wrong" if any(wrong) else "suspicious"
    first = (wrong if any(wrong) else outside).index(True)
    figures["first network call outside"] = float(first + 1)
    low, high = fine[first]
    message = (
        f"from network call {first + 1} of {len(calls)} on the state is {off[first]:+.1f} dB from "
        f"the size that training showed the network there (right is {low:+.1f} to {high:+.1f} dB), "
        f"at worst {off[worst]:+.1f} dB"
    )
    noisy = calls[first].decibels < NOISE_RULES
    remedy = (
        "if the checks of losses are ok, something else than the solver changes the state: remove "
        "clamping, normalising and scaling between steps, and let the start noise have the size of "
        "the first level; else the network guesses wrongly and must learn first"
        if noisy
        else "the sounds leave the data's loudness as they form: "
        + loudness_remedy(scaled, any(call.guided_by is not None for call in calls))
    )
    return Finding("sampler trajectory", verdict, message, remedy, figures, curves)


def _expected(call: NetCall, power: float) -> float:
    alpha, sigma = (level.double() for level in (call.alpha, call.sigma))
    return float((alpha.square() * power + sigma.square()).mean().sqrt())


def _within(call: NetCall, power: float, sound: float, noise: float) -> tuple[float, float]:
    """Return the lowest and highest deviation of the state in dB that is forgiven."""
    alpha, sigma = (level.double() for level in (call.alpha, call.sigma))
    kept, added = float(alpha.square().mean()) * power, float(sigma.square().mean())
    chance = 3 * 10 / math.log(10) * math.sqrt(2 / call.state.numel())
    ends = []
    for sign in (-1, 1):
        scaled = kept * 10 ** (sign * sound / 10) + added
        ends.append(decibels(scaled, kept + added, 10.0) + sign * (noise + chance))
    return ends[0], ends[1]
