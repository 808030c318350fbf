"""Whether the learning rate is too high or too low, by trying others, or from a recorded curve."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from contextlib import suppress

from torch import Tensor, nn

from audio_diffusion_pytorch.data.clip import Clip
from audio_diffusion_pytorch.diagnostics.finding import Finding, Severity
from audio_diffusion_pytorch.diagnostics.report import CurvePlot
from audio_diffusion_pytorch.models.clip_loss import LossFunction, diffusion_loss

from .level_errors import level_errors
from .trial import OptimizerMaker, Trial, adamw, choose_clips, train_copy
from .words import number

FACTORS = (1.0, 0.1, 10.0, 0.01, 100.0)
"""Rates that are tried, over the asked one, in this order: the asked one is never left out."""

BATCH = 8
"""Clips of the one batch; their noise levels cover all."""

CALM, UNRULY = 1.05, 2.0
"""Times its first value that the loss may rise on the way: at the right rate it does not rise at
all (the noise is the same in each step), at a tenfold rate to 1.1 to 5 times."""

DIVERGING = 10.0
"""Times its first value from which a loss on the way is no longer a bad start."""

SLOW, CRAWLING = 0.1, 0.2
"""Share of the way of the best rate that is too slow: at a tenth of the best rate a loss goes 0.15
to 0.4 of the way in these few steps, at a hundredth 0.01 to 0.15."""

FAR_BELOW = 30.0
"""Times below the best rate from which a rate that crawls is wrong."""

MOVES = 0.01
"""Relative fall of the loss that counts as moving."""

LEARNT = 0.1
"""Share of the error of knowing only the loudness under which weights tell nothing of the rate: a
new optimizer first unsettles them."""

GOOD_UPDATE = 1e-3
"""Length of a step over the length of the weights, at which networks learn well."""

LONG_UPDATE, SHORT_UPDATE = 0.1, 1e-6
"""Lengths of a step over the weights at which these jump about or stand still."""


def check_learning_rate(
    model: nn.Module,
    clips: Clip,
    rate: float,
    *,
    initial: nn.Module | None = None,
    steps: int = 32,
    seconds: float = 15.0,
    factors: Sequence[float] = FACTORS,
    loss: LossFunction = diffusion_loss,
    optimizer: OptimizerMaker = adamw,
    seed: int = 0,
) -> Finding:
    """Train copies for some steps on one batch with the same noise, at the asked rate and others.

    Args:
        model: Left as it is; each copy starts from its weights. Where these know the clips already
            nothing is judged.
        clips: Batched clips; up to 8 are used.
        rate: The learning rate in question.
        initial: The model before training, from which the copies start in its place, if known.
        steps: Of each copy; fewer, at least 8, where they would take too long.
        seconds: Budget for all.
        factors: The rates tried, over the asked one; 1 is the first.
        loss: As in training.
        optimizer: Makes the optimizer.
        seed: Of the noise.
    """
    rate = float(f"{rate:.9g}")
    batch = choose_clips(clips, BATCH)
    if initial is None and (left := _left(model, batch, loss, seed)) < LEARNT:
        return Finding(
            "learning rate",
            "ok",
            f"not judged: the error on these clips is {100 * left:.1f} % of that of knowing only "
            f"the loudness, and weights that have learnt less, at least {100 * LEARNT:.0f} %, or "
            "the initial ones tell the rate",
            figures={"learning rate": rate, "share of error left": left},
        )
    start = model if initial is None else initial
    trials: dict[float, Trial] = {}
    for factor in dict.fromkeys((1.0, *factors)):
        tried = float(f"{rate * factor:.9g}")
        trials[tried] = train_copy(
            start, batch, tried, steps, loss=loss, optimizer=optimizer,
            fixed_noise=True, seconds=seconds / len(factors), seed=seed,
        )  # fmt: skip
        steps = max(8, len(trials[rate].losses)) if trials[rate].out_of_time else steps
    best = _best(trials)
    verdict, message, remedy = _judge(trials, rate, best, steps)
    figures = {f"loss at rate {number(tried)}": trial.end for tried, trial in trials.items()}
    lines = {
        f"rate {number(tried)}": _line(trials[tried])
        for tried in sorted(trials)
        if len(trials[tried].losses) > 1
    }
    return Finding(
        "learning rate",
        verdict,
        message,
        remedy,
        figures={
            "learning rate": rate,
            "best learning rate tried": math.nan if best is None else best,
            "loss at the start": trials[rate].start,
            **figures,
        },
        curves=(CurvePlot("One batch at several learning rates", lines),) if lines else (),
    )


def _left(model: nn.Module, clips: Clip, loss: LossFunction, seed: int) -> float:
    """Return the share of error left on clips; nan for an objective nobody can look into."""
    with suppress(ValueError):
        return level_errors(model, clips, loss=loss, seed=seed).share
    return math.nan


def _line(trial: Trial) -> tuple[list[int], list[float]]:
    """Return a curve without what no chart can hold."""
    bound = DIVERGING * max(abs(trial.start), 1e-12)
    kept = [(i, x) for i, x in enumerate(trial.losses) if math.isfinite(x) and x <= bound]
    return [i for i, _ in kept], [x for _, x in kept]


def _best(trials: Mapping[float, Trial]) -> float | None:
    """Return the rate that came furthest without a wild start; None if none came anywhere."""
    good = {
        rate: trial.end
        for rate, trial in trials.items()
        if trial.peak <= CALM * abs(trial.start)
        and trial.start - trial.end > MOVES * abs(trial.start)
    }
    return min(good, key=lambda tried: good[tried]) if good else None


def _way(trial: Trial) -> float:
    """Return how far a loss fell: in factors of e where it is positive, else in its own units."""
    if trial.start > 0 and trial.end > 0:
        return math.log(trial.start / trial.end)
    return trial.start - trial.end


def _judge(
    trials: Mapping[float, Trial], rate: float, best: float | None, steps: int
) -> tuple[Severity, str, str]:
    asked = trials[rate]
    began = f"in {steps} steps on one batch the loss goes from {number(asked.start)} to"
    here = f"{began} {number(asked.end)} at learning rate {number(rate)}"
    diverges = not asked.end <= abs(asked.start) or asked.peak > DIVERGING * abs(asked.start)
    if best is None:
        if diverges:
            low = number(min(trials))
            return (
                "wrong",
                f"{here}, and at none of the rates down to {low} does it fall: right is a rate at "
                "which it falls",
                f"set train.learning_rate below {low}; if nothing helps, look at the overfit check",
            )
        cause = ", for the weights get no gradient" if asked.without_gradient else ""
        return (
            "wrong",
            f"{here} and moves at no rate from {number(min(trials))} to {number(max(trials))}, "
            f"where {100 * MOVES:.0f} % would be a sign of life{cause}",
            "look for detach(), torch.no_grad() or requires_grad=False between the network and the "
            "loss" if asked.without_gradient else "look at the one-clip overfit and the gradients",
        )  # fmt: skip
    there = f", and to {number(trials[best].end)} at {number(best)}, which is right"
    remedy = f"set train.learning_rate={number(best)}"
    if diverges and best < rate:
        return "wrong", f"{here}{there}: the rate is {number(rate / best)} times too high", remedy
    if asked.peak > UNRULY * abs(asked.start) and best < rate:
        return (
            "suspicious",
            f"{here} after a rise to {number(asked.peak)}{there}: the rate may be too high",
            f"{remedy}, or a longer train.warmup_steps",
        )
    share = _way(asked) / max(_way(trials[best]), 1e-12)
    if best >= FAR_BELOW * rate and share < CRAWLING:
        return "wrong", f"{here}{there}: the rate is {number(best / rate)} times too low", remedy
    if best > rate and share < SLOW:
        return "suspicious", f"{here}{there}: the rate may be too low", remedy
    fine = "" if best == rate else f"; the best of those tried is {number(best)}"
    return "ok", f"{here}, and right is a rate at which it falls at once{fine}", ""


def update_ratio(before: Mapping[str, Tensor], after: Mapping[str, Tensor]) -> float:
    """Return the length of an update over the length of the weights.

    Args:
        before: Weights by name, such as `state_dict()` of the network.
        after: The same weights one or more steps later.
    """
    moved = weights = 0.0
    for name, old in before.items():
        if old.is_floating_point() and name in after:
            moved += float((after[name].cpu().double() - old.cpu().double()).square().sum())
            weights += float(old.cpu().double().square().sum())
    return math.sqrt(moved / max(weights, 1e-300))


def check_recorded_rate(
    losses: Sequence[float],
    rate: float,
    update_ratios: Sequence[float] = (),
    *,
    zero_loss: float = math.nan,
) -> Finding:
    """Judge the learning rate of a run by its curve and the lengths of its steps.

    Args:
        losses: Training losses in order, at least 8.
        rate: The highest learning rate of the run.
        update_ratios: Length of single steps over the length of the weights, by `update_ratio`.
        zero_loss: The loss of a network that answers zero, if known.

    Raises:
        ValueError: There are fewer than 8 losses.
    """
    if len(losses) < 8:
        raise ValueError(
            f"a recorded learning rate is judged by at least 8 losses, got {len(losses)}: log "
            "more often (train.log_every)"
        )
    part = max(2, len(losses) // 8)
    # Of a long run nearly all of the fall is in the first rows.
    start, end = statistics.fmean(losses[: max(1, part // 4)]), statistics.fmean(losses[-part:])
    ratio = statistics.median(update_ratios) if update_ratios else math.nan
    known = not math.isnan(ratio)
    right = rate * GOOD_UPDATE / ratio if known and ratio > 0 else math.nan
    beside = (
        f", each step moves the weights by {number(100 * ratio)} % of their length, about "
        f"{number(100 * GOOD_UPDATE)} % is right"
        if known
        else ", right is a curve that falls from its start"
    )
    said = f"at learning rate {number(rate)} the loss went from {number(start)} to {number(end)}"
    verdict: Severity = "ok"
    why, remedy = "", ""
    rises = not end <= 1.2 * abs(start)
    if rises or ratio > LONG_UPDATE:
        # Still better than saying nothing: harder clips or levels may have come.
        harmless = end <= zero_loss and not ratio > LONG_UPDATE
        verdict, why = ("suspicious" if harmless else "wrong"), ": the rate is too high"
        remedy = f"set train.learning_rate={number(right if right < rate else rate / 10)}"
    elif start - end < MOVES * abs(start) and (not known or ratio < 0.1 * GOOD_UPDATE):
        verdict = "wrong" if ratio < SHORT_UPDATE else "suspicious"  # it may have known all before
        why = ": it does not move, the rate is too low"
        remedy = f"set train.learning_rate={number(right if right > rate else rate * 10)}"
    return Finding(
        "recorded learning rate",
        verdict,
        f"{said}{beside}{why}",
        remedy,
        figures={
            "learning rate": rate, "loss at the start": start, "loss at the end": end,
            "update over weights": ratio, "learning rate of a good update": right,
        },
    )  # fmt: skip
