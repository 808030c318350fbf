"""Whether the network knows what to do when it is told nothing, on which guidance rests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from audio_diffusion_pytorch.data.clip import Clip
from audio_diffusion_pytorch.diagnostics.finding import Finding
from audio_diffusion_pytorch.diagnostics.observation import Observation
from audio_diffusion_pytorch.diagnostics.report import CurvePlot
from audio_diffusion_pytorch.diffusion.guidance.conditions import stack_conditions
from audio_diffusion_pytorch.models.clip_loss import LossFunction, diffusion_loss

from .conditions import DECIBELS, Told, hear, percent, rms

SAME = 0.01
"""Least change of the answer, as a share of it, by which no condition differs from one."""

WORSE = 1.1
"""Loss under no condition over that of answering zero, mean of the levels: a trained one is below
1; a little more is what few clips scatter by."""

AS_WRONG = 0.95
"""Loss under no condition over that under another's, mean of the levels: who is told nothing errs
less than who is told the wrong thing, a row that was never trained errs as much."""

MATTERS = 1.1
"""Loss under another's condition over that under its own from which on this can be compared."""

BATCHED = 0.05
"""Change of the answer in a batch of twice the size; bfloat16 alone rounds by up to 0.01."""

CHECK = "null condition"


def null_condition(
    model: nn.Module,
    clips: Clip,
    *,
    null: Mapping[str, Any] | None = None,
    loss: LossFunction = diffusion_loss,
    decibels: Sequence[float] = DECIBELS,
    seed: int = 0,
) -> Finding:
    """Say whether guidance has something to move away from.

    No condition (labels -1, no text) must be answered otherwise than a condition, and sensibly:
    not worse than by zero, and better than under the wrong condition, which shows that conditions
    were dropped in training. And what guidance asks, both in one batch, must be answered as alone.

    Args:
        model: A trained model.
        clips: Batched clips, 2 or more; up to 24 of them are used.
        null: What stands for no condition, by name; default that of labels, texts and tokens.
        loss: As in training.
        decibels: The levels, signal over noise.
        seed: Of the noise.

    Raises:
        ValueError: The network knows no null condition, there are fewer than 2 clips, or all are
            told the same; as `observe`.
    """
    told = hear(model, clips, decibels, loss=loss, seed=seed)
    found = null_of(told.observed[0]) if null is None else dict(null)
    if found is None:
        raise ValueError(
            "the network is not known to take labels of -1, no text or no tokens as no condition: "
            "pass null={...} with what stands for it"
        )
    return null_finding(told, found)


def null_of(observed: Observation) -> dict[str, Any] | None:
    """Return what stands for no condition, None where the network knows no such thing."""
    cond, count = observed.cond, len(observed.clean)
    null: dict[str, Any] = {}
    if isinstance(cond.get("labels"), Tensor):
        null["labels"] = torch.full_like(cond["labels"], -1)
    if isinstance(cond.get("text"), list | tuple):
        null["text"] = [None] * count
    if isinstance(cond.get("embedding"), Tensor):
        null |= {"embedding": None, "embedding_mask": None}
        if "embedding_mask_proba" in cond:  # there would be nothing to drop
            null["embedding_mask_proba"] = 0.0
    if not null:
        return None
    try:
        observed.ask(cond=_without(cond, null))
    except (TypeError, ValueError):
        return None
    return null


class _Errors(NamedTuple):
    """Mean squared errors at one level, and how far answers are apart."""

    own: float
    other: float
    none: float
    zero: float
    change: float


def null_finding(told: Told, null: Mapping[str, Any]) -> Finding:
    """As `null_condition`, of what was heard already.

    Raises:
        ValueError: All items are told the same.
    """
    told = told.only(null)
    if not bool(told.differs.any()):
        raise ValueError(
            "what no condition is worth shows beside conditions that differ, got "
            f"{len(told.order)} items that are told the same: pass other clips"
        )
    levels = [_errors(told, observed, null) for observed in told.observed]
    change = max(level.change for level in levels)
    to_zero = _mean([level.none / max(level.zero, 1e-12) for level in levels])
    to_wrong = _mean([level.none / max(level.other, 1e-12) for level in levels])
    matter = _mean([level.other / max(level.own, 1e-12) for level in levels])
    batched = _in_one_batch(told.observed[len(levels) // 2], null)
    figures: dict[str, float | str] = {
        "condition": ", ".join(told.names),
        "change of the answer": change,
        "loss over that of answering zero": to_zero,
        "loss over that under another's condition": to_wrong,
        "change in a batch of both": batched,
    }
    axis = list(told.decibels)
    curve = CurvePlot(
        "Loss under its own condition, none and another's",
        {
            "its own": (axis, [level.own for level in levels]),
            "none": (axis, [level.none for level in levels]),
            "another's": (axis, [level.other for level in levels]),
        },
        x_label="signal over noise in dB",
    )
    message = (
        f"without the {told.phrase} the answer changes by {percent(change)}, and the loss is "
        f"{to_zero:.2f} times that of answering zero and {to_wrong:.2f} times that under another's "
        "condition"
    )
    untrained = (
        "train with conditions dropped now and then (class_dropout=0.1, text.dropout), or make "
        "sounds with guidance=1 only"
    )
    if batched > BATCHED:
        return Finding(
            CHECK,
            "wrong",
            f"in one batch with no condition, as guidance asks, the answer changes by "
            f"{percent(batched)}, 0 would be right: guidance of 1 is not the plain condition",
            "look for what mixes the items of a batch (a norm or a minimum and maximum over it)",
            figures,
        )
    if change < SAME:
        told_apart = f"{message}; more than {percent(SAME)} would give guidance a direction"
        remedy = "look at condition influence first: what is not heard cannot be left out either"
        return Finding(CHECK, "suspicious", told_apart, remedy, figures, (curve,))
    if to_zero > WORSE or (matter > MATTERS and to_wrong > AS_WRONG):
        judged = f"{message}: no condition was not trained, below {AS_WRONG:g} would be right"
        return Finding(CHECK, "suspicious", judged, untrained, figures, (curve,))
    judged = f"{message}, both are right below 1"
    return Finding(CHECK, "ok", judged, "", figures, (curve,))


def _errors(told: Told, observed: Observation, null: Mapping[str, Any]) -> _Errors:
    said, wanted = observed.said, observed.wanted
    none, other = observed.ask(cond=_without(observed.cond, null)), told.exchanged(observed)
    here = told.differs.to(said.device)
    return _Errors(
        rms((said - wanted)[here]) ** 2,
        rms((other - wanted)[here]) ** 2,
        rms((none - wanted)[here]) ** 2,
        rms(wanted[here]) ** 2,
        rms((none - said)[here]) / max(rms(said[here]), 1e-12),
    )


def _in_one_batch(observed: Observation, null: Mapping[str, Any]) -> float:
    """Return how far the answer moves where no condition stands in the batch, too."""
    if any(value is None for value in null.values()):  # cannot be stacked: asked one by one
        return 0.0
    x, time, count = observed.net_input, observed.net_time, len(observed.net_input)
    both = observed.ask(
        net_input=torch.cat([x, x]),
        net_time=torch.cat([time, time]),
        cond=stack_conditions(observed.cond, null),
    )
    said = observed.ask()
    return rms(both[:count] - said) / max(rms(said), 1e-12)


def _without(cond: Mapping[str, Any], null: Mapping[str, Any]) -> dict[str, Any]:
    replaced = {**cond, **null}
    return {name: value for name, value in replaced.items() if value is not None or name in cond}


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
