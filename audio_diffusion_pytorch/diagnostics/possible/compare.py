"""Which of two runs is better, whatever their losses say."""

from __future__ import annotations

from audio_diffusion_pytorch.diagnostics.finding import Finding
from audio_diffusion_pytorch.diagnostics.report import CurvePlot

from .levels import Levels
from .share import NO_WORSE, common, other_space, percent

SAME_LOSS = 0.03
"""Losses nearer than this, as a share of the higher, are equal: other noise does as much."""

SAME_MARK = 0.1
"""Marks of knowing the loudness nearer than this are those of other clips of one collection."""


def compare_losses(
    ours: Levels, theirs: Levels, names: tuple[str, str] = ("this run", "the other run")
) -> Finding:
    """Check whether the run of the lower loss is the better one.

    A loss also falls because most of its noise levels are easy (more steps of the same betas,
    another schedule, other training times) or because the answer asked for is (another
    parameterization). The errors of the clean signal at the same levels know nothing of all that.

    Args:
        ours: A table of noise levels.
        theirs: Another.
        names: What the two runs are called.

    Raises:
        ValueError: They have no noise level in common.
    """
    mine, other = common(ours, theirs)
    rows = sorted(zip((mine, other), names, strict=True), key=lambda row: row[0].marks.loss)
    (low, low_name), (high, high_name) = rows
    lower = low.marks.loss < (1 - SAME_LOSS) * high.marks.loss
    ahead = low.share - high.share
    figures: dict[str, float | str] = {}
    for table, name in ((mine, names[0]), (other, names[1])):
        figures |= {
            f"loss of {name}": table.marks.loss,
            f"loss of knowing only the loudness, {name}": table.marks.loudness,
            f"share of the possible explained, {name}": table.share,
        }
    curves = (_curves(mine, other, names),)
    shares = (
        f"at the same noise levels {low_name} explains {percent(low.share)} of what is possible, "
        f"{high_name} {percent(high.share)}"
    )
    reason, space = _reason(low, high), other_space(low, high)
    better = ahead > NO_WORSE and not space  # shares in two spaces are of different things
    if not lower or better or not (reason or ahead < -NO_WORSE):
        losses = (
            f"the loss {low.marks.loss:.3g} of {low_name} is lower than {high.marks.loss:.3g} of "
            f"{high_name}, and it is the better one"
            if lower and better
            else f"the losses {low.marks.loss:.3g} and {high.marks.loss:.3g} differ by the clips "
            "they are measured on, and neither is better"
            if lower
            else f"the losses {low.marks.loss:.3g} and {high.marks.loss:.3g} are the same"
        )
        return Finding("comparison of losses", "ok", f"{losses}: {shares}", "", figures, curves)
    verdict = f"{high_name} is the better one" if ahead < -NO_WORSE else "neither is better"
    verdict = "these shares are of different things" if space else verdict
    marks = f"{low.marks.loudness:.3g} in place of {high.marks.loudness:.3g}"
    message = (
        f"the loss {low.marks.loss:.3g} of {low_name} is lower than {high.marks.loss:.3g} of "
        f"{high_name} only because of {reason or 'the clips'}, where knowing only the loudness "
        f"costs {marks}: {shares}, so {verdict}"
    )
    remedy = "compare the shares of the possible (validation/share_explained), never these losses"
    return Finding(
        "comparison of losses", "suspicious", message, remedy, figures, curves, symptom=True
    )


def _reason(low: Levels, high: Levels) -> str:
    """Return why the lower loss is lower, where the two were trained by different things.

    Empty where nothing is known to differ.
    """
    reasons = []
    if space := other_space(low, high):
        reasons.append(f"another space ({space})")
    if low.marks.kind != high.marks.kind:
        reasons.append("the mean square in place of the mean absolute error"
                       if low.marks.kind == "mse" else
                       "the mean absolute error in place of the mean square")  # fmt: skip
    if low.num_steps != high.num_steps and low.num_steps and high.num_steps:
        more = "more" if low.num_steps > high.num_steps else "fewer"
        reasons.append(f"{more} steps ({low.num_steps} in place of {high.num_steps})")
    elif low.schedule != high.schedule:
        reasons.append(f"its schedule ({low.schedule} in place of {high.schedule})")
    if low.parameterization != high.parameterization:
        reasons.append(
            f"what is predicted ({low.parameterization} in place of {high.parameterization})"
        )
    one, two = sorted((low.marks.loudness, high.marks.loudness))
    if not reasons and not one >= (1 - SAME_MARK) * two:
        return "the times or clips it is measured at"
    return " and of ".join(reasons)


def _curves(mine: Levels, other: Levels, names: tuple[str, str]) -> CurvePlot:
    x = list(mine.decibels)
    return CurvePlot(
        "Error of the clean signal by noise level",
        {names[0]: (x, list(mine.model)), names[1]: (x, list(other.model))},
        x_label="signal over noise (dB)",
        y_label="mean squared error",
    )
