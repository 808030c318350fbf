"""Whether the network listens: what it says under its own condition and under another's."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from audio_diffusion_pytorch.data.clip import Clip
from audio_diffusion_pytorch.diagnostics.finding import Finding, Severity
from audio_diffusion_pytorch.diagnostics.report import CurvePlot
from audio_diffusion_pytorch.models.clip_loss import LossFunction, diffusion_loss

from .conditions import DECIBELS, Told, hear, percent, rms

HEARD = 0.05
"""Least rise of the loss under another's condition at the level where it matters most. A healthy
model of piano notes has 4 and more there, one that was given shuffled pairs 0."""

IGNORED = 0.01
"""Below this the rise is no more than what a few clips scatter by."""

CHECK = "condition influence"


def condition_influence(
    model: nn.Module,
    clips: Clip,
    *,
    loss: LossFunction = diffusion_loss,
    decibels: Sequence[float] = DECIBELS,
    seed: int = 0,
) -> Finding:
    """Say by how much the loss rises where each clip is given the condition of another.

    Items, noise and levels stay; only the condition is exchanged. How much it matters depends on
    the level: in almost pure noise hardly anything can be told apart, in almost clean sound it is
    heard without being told. So the level counts at which the rise is largest.

    Args:
        model: A trained model.
        clips: Batched clips, 2 or more; up to 24 of them are used.
        loss: As in training.
        decibels: The levels, signal over noise.
        seed: Of the noise.

    Raises:
        ValueError: There are fewer than 2 clips; as `observe`.
    """
    return influence_of(hear(model, clips, decibels, loss=loss, seed=seed))


def influence_of(told: Told) -> Finding:
    """As `condition_influence`, of what was heard already."""
    count = len(told.order)
    if not bool(told.differs.any()):
        return Finding(
            CHECK,
            "suspicious",
            f"all {count} clips are told the same, so there is nothing to exchange and nothing to "
            "learn from it; at least 2 conditions that differ would be right",
            "examine clips with different labels or texts, and look whether data.labels finds any",
            {"clips": float(count), "different conditions": 1.0},
        )
    own, other, change = _errors(told)
    rises = _rises(own, other)
    best = max(range(len(rises)), key=lambda i: rises[i])
    figures: dict[str, float | str] = {
        "condition": ", ".join(told.names),
        "rise of the loss": rises[best],
        "change of the answer": change[best],
        "level in dB": told.decibels[best],
        "least rise": HEARD,
    }
    figures |= {
        f"rise at {level:g} dB": rise for level, rise in zip(told.decibels, rises, strict=True)
    }
    if len(told.names) > 1:
        figures |= _each(told)
    levels = list(told.decibels)
    curve = CurvePlot(
        "Loss under its own condition and under another's",
        {"its own": (levels, own), "another's": (levels, other)},
        x_label="signal over noise in dB",
    )
    rise, level = percent(rises[best]), told.decibels[best]
    message = (
        f"exchanging the {told.phrase} between clips raises the loss by up to {rise} (at {level:g} "
        f"dB signal over noise, where the answer changes by {percent(change[best])}); a network "
        f"that listens loses more than {percent(HEARD)}"
    )
    if rises[best] > HEARD:
        return Finding(CHECK, "ok", message, "", figures, (curve,))
    remedy = (
        "look whether each sound is paired with its own condition and whether the network hears it "
        "beside the signal (conditioner gain), then train on"
    )
    verdict: Severity = "wrong" if rises[best] < IGNORED else "suspicious"
    return Finding(CHECK, verdict, message, remedy, figures, (curve,))


def _errors(told: Told) -> tuple[list[float], list[float], list[float]]:
    """Return at each level the loss under the own condition, under another's, and the change."""
    own, other, change = [], [], []
    for observed in told.observed:
        here = told.differs.to(observed.said.device)
        said, wanted = observed.said[here].float(), observed.wanted[here].float()
        exchanged = told.exchanged(observed)[here].float()
        own.append(rms(said - wanted) ** 2)
        other.append(rms(exchanged - wanted) ** 2)
        change.append(rms(exchanged - said) / max(rms(said), 1e-12))
    return own, other, change


def _each(told: Told) -> dict[str, float | str]:
    """Return the largest rise of the loss where only one of several conditions is exchanged."""
    found: dict[str, float | str] = {}
    for name in told.names:
        own, other, _ = _errors(told.only([name]))
        found[f"rise by {name} alone"] = max(_rises(own, other))
    return found


def _rises(own: Sequence[float], other: Sequence[float]) -> list[float]:
    return [b / max(a, 1e-12) - 1 for a, b in zip(own, other, strict=True)]
