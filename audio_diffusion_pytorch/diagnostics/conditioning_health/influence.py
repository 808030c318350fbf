"""Whether the network listens: what it says under its own condition and under another's."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from audio_diffusion_pytorch.data.clip import Clip
from audio_diffusion_pytorch.diagnostics.finding import Finding, Severity
from audio_diffusion_pytorch.diagnostics.observation import permuted
from audio_diffusion_pytorch.diagnostics.report import CurvePlot
from audio_diffusion_pytorch.models.clip_loss import LossFunction, diffusion_loss

from .conditions import DECIBELS, Told, hear, rms

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
    rises = [b / max(a, 1e-12) - 1 for a, b in zip(own, other, strict=True)]
    best = max(range(len(rises)), key=lambda i: rises[i])
    figures: dict[str, float | str] = {
        "condition": told.name,
        "rise of the loss": rises[best],
        "change of the answer": change[best],
        "level in dB": told.decibels[best],
        "least rise": HEARD,
    }
    figures |= {
        f"rise at {level:g} dB": rise for level, rise in zip(told.decibels, rises, strict=True)
    }
    if " and " in told.name:
        figures |= _each(told)
    levels = list(told.decibels)
    curve = CurvePlot(
        "Loss under its own condition and under another's",
        {"its own": (levels, own), "another's": (levels, other)},
        x_label="signal over noise in dB",
    )
    message = (
        f"exchanging the {told.name} between clips raises the loss by up to "
        f"{100 * rises[best]:.3g} % (at {told.decibels[best]:g} dB signal over noise, where the "
        f"answer changes by {100 * change[best]:.3g} %); a network that listens loses more than "
        f"{100 * HEARD:.0f} %"
    )
    if rises[best] > HEARD:
        return Finding(CHECK, "ok", message, "", figures, (curve,))
    remedy = (
        f"look whether each sound is paired with its own {told.name} and whether the network is "
        "given them strongly enough (conditioner gain), then train on"
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
    for name in told.name.split(" and "):
        rises = []
        for observed in told.observed:
            part = permuted({name: observed.cond[name]}, told.order)
            said = observed.ask(cond={**observed.cond, **part})
            rises.append(_error(said, observed.wanted) / _error(observed.said, observed.wanted) - 1)
        found[f"rise by {name} alone"] = max(rises)
    return found


def _error(said: Tensor, wanted: Tensor) -> float:
    return max(float((said.float() - wanted.float()).square().mean()), torch.finfo().tiny)
