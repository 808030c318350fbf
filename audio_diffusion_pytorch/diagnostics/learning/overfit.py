"""Whether a network can learn one clip, or a few, by heart: what cannot will learn no folder."""

from __future__ import annotations

import math

from torch import nn

from audio_diffusion_pytorch.data.clip import Clip
from audio_diffusion_pytorch.diagnostics.finding import Finding, Severity
from audio_diffusion_pytorch.diagnostics.report import CurvePlot
from audio_diffusion_pytorch.models.clip_loss import LossFunction, diffusion_loss

from .level_errors import LevelErrors, level_errors
from .output import check_output_range
from .rates import check_learning_rate
from .trial import (
    OptimizerMaker,
    Trial,
    adamw,
    choose_clips,
    repeat_clips,
    sounding_clips,
    train_copy,
)
from .words import level_range, number, plural

ONE_CLIP_SHARE = 0.3
"""Share of the error of knowing only the loudness that one learnt clip may leave: small healthy
networks come to 0.04 in 300 steps, to 0.2 in 100; a network that learnt nothing stays at 1."""

BATCH_SHARE = 0.5
"""The same for several clips, which take more steps: small healthy networks come to 0.2."""

LOOK_EVERY = 25
"""Steps between two measurements."""

STANDS_STILL = 0.02
"""Relative fall of the error under which it does not move."""

USUAL_RATES = (1e-3, 1e-4)
"""Learning rates tried where none is known: the second where the network diverges at the first."""

ROUNDING = 0.005
"""A share this near to the mark reads the same in whole percent."""

AT_REST = 0.03
"""Relative fall of the lowest error in the last third of the steps under which it is at rest."""

LITTLE = 0.7
"""Share of error above which a network at rest has learnt suspiciously little; others may still
come to the mark: small ones of sound make took 1500 steps."""

WORSE, NONSENSE = 0.5, 3.0
"""Relative rise of the error, and share of it, that only a training that diverges comes to."""

BATCH_SIZE = 16
"""Clips of one step; a single clip is met with as many noises at once."""


def overfit_mark(count: int) -> float:
    """Return the share of error that `count` clips known by heart may leave."""
    return ONE_CLIP_SHARE if count == 1 else BATCH_SHARE


def check_overfit(
    model: nn.Module,
    clips: Clip,
    *,
    items: int = 1,
    rate: float | None = None,
    steps: int = 300,
    seconds: float = 15.0,
    mark: float | None = None,
    loss: LossFunction = diffusion_loss,
    optimizer: OptimizerMaker = adamw,
    seed: int = 0,
) -> Finding:
    """Train a copy on a few clips until it knows them by heart, and say why if it does not.

    Known is what leaves at most `mark` of the error, at levels from -20 dB to 20 dB, that a guess
    leaves which knows only how loud the clips are. A network that learns, only not all of it within
    the budget, is not judged.

    Args:
        model: Left as it is.
        clips: Batched clips; `items` of them are taken.
        items: 1, or a batch.
        rate: Learning rate; None: 1e-3, and 1e-4 where the network diverges at that.
        steps: Budget in steps.
        seconds: Budget in seconds.
        mark: Share of the error that passes; by default `overfit_mark`.
        loss: As in training.
        optimizer: Makes the optimizer.
        seed: Of the noise.

    Raises:
        ValueError: As `observe`.
    """
    sounding = sounding_clips(clips)
    name = "one-clip overfit" if min(items, len(clips.audio)) == 1 else "one-batch overfit"
    if sounding is None:
        return _silent(name, len(clips.audio))
    few = choose_clips(sounding, items)
    count = len(few.audio)
    mark = overfit_mark(count) if mark is None else mark
    start = level_errors(model, few, loss=loss, seed=seed)
    if start.share <= mark + ROUNDING:  # a new optimizer would only unsettle it
        figures = {"share of error left": start.share, "largest share that passes": mark}
        message = f"known before a step is done: {_left(0, count, start.share, mark)}"
        return Finding(name, "ok", message, figures={**figures, "steps": 0}, symptom=True)
    for tried in USUAL_RATES if rate is None else (rate,):
        trial, errors, at_steps = _try(
            model, few, start, tried, steps,
            mark=mark, seconds=seconds, loss=loss, optimizer=optimizer, seed=seed,
        )  # fmt: skip
        fall = 1 - errors[-1].share / max(start.share, 1e-12)
        if not _diverges(trial, errors[-1], fall):
            break
    verdict, why, remedy = _judge(trial, errors, mark, few, loss, fall, steps)
    word = "" if why.startswith(":") or not why else "not judged: "
    message = f"{word}{_left(len(trial.losses), count, errors[-1].share, mark)}{why}"
    shares = [error.share for error in errors]
    curve = CurvePlot(
        f"{plural(count, 'clip')} learnt by heart: error over that of knowing the loudness",
        {"share of error": (at_steps, shares), "mark": (at_steps, [mark] * len(shares))},
        y_label="share",
    )
    figures = {
        "share of error left": shares[-1],
        "share of error at the start": shares[0],
        "largest share that passes": mark,
        "steps": len(trial.losses),
        "learning rate": trial.rate,
        "loss at the start": trial.start,
        "loss at the end": trial.end,
    }
    return Finding(name, verdict, message, remedy, figures, (curve,), symptom=True)


def _try(
    model: nn.Module,
    clips: Clip,
    start: LevelErrors,
    rate: float,
    steps: int,
    *,
    mark: float,
    seconds: float,
    loss: LossFunction,
    optimizer: OptimizerMaker,
    seed: int,
) -> tuple[Trial, list[LevelErrors], list[int]]:
    """Train a copy until it knows the clips; its errors on the way, and after how many steps."""
    errors, at_steps = [start], [0]

    def known(trial: Trial) -> bool:
        if len(trial.losses) % LOOK_EVERY and len(trial.losses) != steps:
            return False
        errors.append(level_errors(trial.model, clips, loss=loss, seed=seed))
        at_steps.append(len(trial.losses))
        return errors[-1].share <= mark + ROUNDING

    trial = train_copy(
        model, repeat_clips(clips, BATCH_SIZE), rate, steps,
        loss=loss, optimizer=optimizer, seconds=seconds, seed=seed, stop=known,
    )  # fmt: skip
    if at_steps[-1] != len(trial.losses):
        errors.append(level_errors(trial.model, clips, loss=loss, seed=seed))
        at_steps.append(len(trial.losses))
    return trial, errors, at_steps


def overfit_finding(
    model: nn.Module,
    clips: Clip,
    losses: tuple[float, float],
    steps: int,
    rate: float,
    *,
    loss: LossFunction = diffusion_loss,
    mark: float | None = None,
    seed: int = 0,
) -> Finding:
    """Say of a model that was trained on these clips alone whether it knows them, and if not why.

    Args:
        model: As trained.
        clips: All that it was trained on.
        losses: Its training loss at the start and at the end.
        steps: Steps done.
        rate: The highest learning rate.
        loss: As in training.
        mark: Share of the error that passes; by default `overfit_mark`.
        seed: Of the noise.
    """
    if sounding_clips(clips) is None:
        return _silent("overfit", len(clips.audio))
    mark = overfit_mark(len(clips.audio)) if mark is None else mark
    left = level_errors(model, clips, loss=loss, seed=seed)
    trial = Trial(model, rate, list(losses))
    if left.share > mark + ROUNDING:  # is there a gradient at all?
        trial.gradient_norms = train_copy(
            model, choose_clips(clips, BATCH_SIZE), rate, 2, loss=loss, seed=seed
        ).gradient_norms
    fall = (losses[0] - losses[1]) / max(abs(losses[0]), 1e-12)
    verdict, why, remedy = _judge(trial, [left], mark, clips, loss, fall)
    word = "passed" if verdict == "ok" else "not passed"
    message = f"{word}: {_left(steps, len(clips.audio), left.share, mark)}{why}"
    figures = {"share of error left": left.share, "largest share that passes": mark}
    return Finding("overfit", verdict, message, remedy, figures | {"steps": steps})


def loss_fall_finding(losses: tuple[float, float], count: int, steps: int, rate: float) -> Finding:
    """Say the same by the loss alone, where nobody can look into the objective.

    Args:
        losses: The loss on the clips before and after the training, at the same noise.
        count: How many clips.
        steps: Steps done.
        rate: The highest learning rate.
    """
    start, end = losses
    mark = overfit_mark(2)  # a loss has a floor that no network passes
    share = end / start if start > 0 else math.nan
    message = (
        f"after {plural(steps, 'step')} on {plural(count, 'clip')} the loss is "
        f"{100 * share:.0f} % of its first value, at most {100 * mark:.0f} % is right"
    )
    figures = {"loss at the start": start, "loss at the end": end, "steps": steps}
    if share <= mark:
        return Finding("overfit", "ok", f"passed: {message}", figures=figures)
    diverged = not end <= 1.2 * abs(start)
    why = f": it diverges at learning rate {number(rate)}" if diverged else ""
    remedy = f"set train.learning_rate={number(rate / 10)}" if diverged else (
        "give it more steps, or another learning rate; if nothing helps, look at the gradients"
    )  # fmt: skip
    return Finding("overfit", "wrong", f"not passed: {message}{why}", remedy, figures=figures)


def _better_rate(trial: Trial, clips: Clip, loss: LossFunction) -> str:
    """Return the remedy of a better rate, where trying others for a moment shows one."""
    found = check_learning_rate(trial.model, clips, trial.rate, steps=16, seconds=5.0, loss=loss)
    return found.remedy if found.verdict == "wrong" else ""


def _left(steps: int, count: int, share: float, mark: float) -> str:
    return (
        f"after {plural(steps, 'step')} on {plural(count, 'clip')} the error of the clean signal "
        f"is {100 * share:.0f} % of that of knowing only the loudness, at most {100 * mark:.0f} % "
        "is right"
    )


def _silent(name: str, count: int) -> Finding:
    return Finding(
        name, "wrong",
        f"the {plural(count, 'clip')} to be learnt by heart hold 0 that sound, at least 1 is right",
        "choose other recordings", figures={"clips": count},
    )  # fmt: skip


def _judge(
    trial: Trial,
    errors: list[LevelErrors],
    mark: float,
    clips: Clip,
    loss: LossFunction,
    fall: float,
    budget: int = 0,
) -> tuple[Severity, str, str]:
    """Return the verdict, the cause as the end of a sentence, and the remedy.

    `fall` is by what share the error, or the loss, fell at the same noise; `budget` are the steps
    of a trial, 0 those of a whole run. A cause without a colon says why nothing is judged.
    """
    last = errors[-1]
    if last.share <= mark + ROUNDING:
        return "ok", "", ""
    asked = number(trial.rate)
    lower = number(trial.rate / 10)
    if trial.without_gradient:
        return (
            "wrong",
            ": the loss does not move, the weights get no gradient",
            "look for detach(), torch.no_grad() or requires_grad=False between the network and "
            "the loss",
        )
    if _diverges(trial, last, fall):
        return (
            "wrong",
            f": it diverges at learning rate {asked}, the loss went from {number(trial.start)} to "
            f"{number(trial.end)}",
            f"set train.learning_rate={lower}, or lower",
        )
    squashed = check_output_range(trial.model, clips, loss=loss)
    if squashed.verdict == "wrong":
        return "wrong", f": {squashed.message}", squashed.remedy
    if fall < STANDS_STILL and not trial.out_of_time:
        return (
            "wrong",
            f": the loss does not move at learning rate {asked}, it stays at {number(trial.end)}",
            _better_rate(trial, clips, loss)
            or f"try train.learning_rate={number(10 * trial.rate)}; if nothing moves at any rate "
            "the network does not see its input",
        )
    hard = [float(d) for d, s in zip(last.decibels, last.shares, strict=True) if s > mark]
    where = f", most at signal over noise of {level_range(hard)}"
    if budget:
        return _unjudged(trial, errors, budget, where)
    return (
        "suspicious",
        f": the loss still falls, from {number(trial.start)} to {number(trial.end)} so far{where}",
        "give it more steps; if that ends above the mark too, the network is too small",
    )


def _unjudged(
    trial: Trial, errors: list[LevelErrors], budget: int, where: str
) -> tuple[Severity, str, str]:
    """Return what is said of a network that learns, but has not reached the mark in its steps."""
    if trial.out_of_time:
        over = f", and the time was over after {len(trial.losses)} of {plural(budget, 'step')}"
        return "ok", f"{over}; train.overfit=1 tries longer", ""
    shares = [error.share for error in errors]
    last = max(1, len(shares) // 3)
    at_rest = len(shares) > 2 and min(shares[-last:]) > (1 - AT_REST) * min(shares[:-last])
    if at_rest and shares[-1] > LITTLE:
        return (
            "suspicious",
            f": it no longer improves{where}",
            "see with train.overfit=1 whether more steps help; if not, make the network larger "
            "(model.channels), and see that it is told the noise level",
        )
    return "ok", f", which so few steps need not reach{where}; train.overfit=1 tries longer", ""


def _diverges(trial: Trial, last: LevelErrors, fall: float) -> bool:
    """Return whether a training ran away; data far quieter than 1 begin far above all marks."""
    if trial.blew_up or not fall >= -WORSE:
        return True
    return fall < STANDS_STILL and not last.share <= NONSENSE
