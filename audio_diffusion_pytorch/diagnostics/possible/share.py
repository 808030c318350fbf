"""The share of the possible that a model explains, beside what a filter explains."""

from __future__ import annotations

import math

from audio_diffusion_pytorch.diagnostics.finding import Finding, Severity
from audio_diffusion_pytorch.diagnostics.report import CurvePlot

from .levels import Levels

NOTHING = 0.02
"""A share of the possible up to here is nothing: it is within what the noise of 32 clips does."""
NO_WORSE = 0.02
"""Two shares nearer than this are equal: other noise on 32 clips moves a share by about as much."""

OTHER_LOUDNESS = 4.0
"""Times the mean square of other data from which these were scaled otherwise: half and half of one
collection differ by less."""


def check_share(levels: Levels, best: Levels | None = None) -> Finding:
    """Check that a model knows more of the data than how loud they are, and than their spectrum.

    Args:
        levels: Its table.
        best: That of the previous best run, to be drawn beside it.
    """
    share, linear = levels.share, levels.linear_share
    known = share_words(levels)
    verdict: Severity = "ok"
    remedy = ""
    if not math.isfinite(share):
        verdict, known = "wrong", "its guess of the clean signal is not finite"
        remedy = "look for the first module that says NaN with train.debug_numerics=true"
    elif levels.by_heart:
        verdict = "suspicious"
        known += ": it knows the clips it was trained on by heart, and new ones hardly"
        remedy = (
            "train on more recordings, for fewer steps or with a smaller network; the step at "
            "which new clips were guessed best is kept as checkpoints/best"
        )
    elif share <= NOTHING:
        verdict = "wrong"
        known += ": " + (
            f"its guess of the clean signal is {_decibels(levels)} worse than knowing only how "
            "loud the data are"
            if share < -NOTHING
            else "it knows how loud the data are and nothing more"
        )
        remedy = (
            "mend first what the other checks name; if they name nothing train longer "
            "(train.max_minutes), and see that it can learn one clip by heart (train.overfit=1)"
        )
    elif share < linear:
        verdict = "suspicious"
        known += ": a filter without any training does better"
        remedy = "train longer (train.max_minutes), or with a higher train.learning_rate"
    if not levels.held_back:
        known += ", on clips it was trained on"
    figures: dict[str, float | str] = {
        "share of the possible explained": share,
        "share of the best linear denoiser": linear,
        "share of guessing silence": levels.silent_share,
        "clips judged": levels.clips,
    }
    if levels.train_share is not None:
        figures["share of the possible explained on training clips"] = levels.train_share
    if best is not None:
        figures["share of the previous best run"] = best.share
    for place, level in enumerate(levels.decibels):
        figures |= {
            f"error at {level:g} dB": levels.model[place],
            f"error of the best linear denoiser at {level:g} dB": levels.linear[place],
            f"error of knowing the loudness at {level:g} dB": levels.loudness[place],
        }
    return Finding(
        "share of the possible", verdict, known, remedy, figures, (level_curves(levels, best),),
        symptom=True,
    )  # fmt: skip


def check_best(levels: Levels, best: Levels, name: str = "the previous best run") -> Finding:
    """Check that a model is no worse than an earlier one, whatever the two were trained by.

    Args:
        levels: Its table.
        best: That of the earlier one.
        name: What the earlier one is called.
    """
    mine, other = common(levels, best)
    message = (
        f"explains {percent(mine.share)} of what is possible, {name} {percent(other.share)}, at "
        "the same noise levels"
    )
    figures = {
        "share of the possible explained": mine.share,
        f"share of {name}": other.share,
    }
    if space := other_space(mine, other):
        message += f", but in another space ({space}): these shares are of different things"
    if space or not mine.share < other.share - NO_WORSE:
        return Finding("previous best run", "ok", message, figures=figures)
    worst = max(
        zip(mine.decibels, mine.model, other.model, strict=True),
        key=lambda row: row[1] / max(row[2], 1e-12),
    )
    behind = 10 * math.log10(max(worst[1], 1e-12) / max(worst[2], 1e-12))
    message += f"; furthest behind at {worst[0]:g} dB, by {behind:.1f} dB"
    remedy = "train longer, or go back to the settings of that run (its config.yaml)"
    return Finding("previous best run", "suspicious", message, remedy, figures, symptom=True)


def level_curves(levels: Levels, best: Levels | None = None) -> CurvePlot:
    """Return the frame of all errors of the clean signal over the noise level."""
    x = list(levels.decibels)
    lines = {
        "the model": (x, list(levels.model)),
        "best linear denoiser": (x, list(levels.linear)),
        "knowing only the loudness": (x, list(levels.loudness)),
        "guessing silence": (x, [levels.variance] * len(x)),
    }
    if best is not None:
        lines["the previous best run"] = (list(best.decibels), list(best.model))
    return CurvePlot(
        "Error of the clean signal by noise level",
        lines,
        x_label="signal over noise (dB)",
        y_label="mean squared error",
    )


def common(first: Levels, second: Levels) -> tuple[Levels, Levels]:
    """Return two tables at the levels that both have.

    Raises:
        ValueError: They have none in common.
    """
    shared = [level for level in first.decibels if level in second.decibels]
    if not shared:
        raise ValueError("the two tables have no noise level in common: nothing can be compared")
    return first.at(shared), second.at(shared)


def other_space(first: Levels, second: Levels) -> str:
    """Return how the spaces differ in which two models guess; empty if they are the same."""
    if first.space and second.space and first.space != second.space:
        return f"{first.space} in place of {second.space}"
    one, two = first.variance, second.variance
    if max(one, two) > OTHER_LOUDNESS * min(one, two):
        return f"a mean square of {one:.3g} in place of {two:.3g}"
    return ""


def share_words(levels: Levels) -> str:
    """Return the share explained, in a few words, beside that of a filter."""
    linear = f"(best linear {percent(levels.linear_share)})"
    here = f"explains {percent(levels.share)} of what is possible"
    if levels.train_share is None:
        return f"{here} {linear}"
    return f"{here}, {percent(levels.train_share)} on training clips {linear}"


def percent(share: float) -> str:
    """Return a share in whole percent; how far below -999 % it lies says nothing more."""
    if not math.isfinite(share):
        return "nan %"
    return f"{round(100 * share)} %" if share > -10 else "below -999 %"


def _decibels(levels: Levels) -> str:
    """Return how far the guess lies behind the loudness alone, in dB of the mean over levels."""
    ratio = 1 - levels.share
    return f"{10 * math.log10(max(ratio, 1e-12)):.1f} dB"
