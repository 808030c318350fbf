"""Losses that are reached without having learnt a thing, called by their names."""

from __future__ import annotations

import math

from audio_diffusion_pytorch.diagnostics.finding import Finding, Severity
from audio_diffusion_pytorch.diffusion.objectives import GaussianDiffusion

from .levels import LossKind, LossMarks
from .measure import loss_marks, training_times

NEAR = 0.05
"""A loss this near to a mark, as a share of it, is the mark: batches of clips differ by as much."""
HARDLY = 0.12
"""Less than this under the loudness mark is hardly learning: music has an L1 loss a tenth below the
mark of Gaussian data without anything being learnt."""
_TIMES = 1024
UNIT = {"mse": (1.0, "1.0"), "l1": (math.sqrt(2 / math.pi), "sqrt(2/pi) = 0.798")}
"""The loss of a zero answer where the right answer is noise of unit variance, and its name."""
_KINDS = {"mse": "MSE", "l1": "L1"}
_START = (
    "see that it can learn one clip by heart (train.overfit=1), then look for a wrong "
    "train.learning_rate, a sigmoid or clamp on the output, and NaN in the data"
)


def check_trivial_loss(
    loss: float,
    kind: LossKind = "mse",
    *,
    diffusion: GaussianDiffusion | None = None,
    variance: float = 1.0,
) -> Finding:
    """Check that a training loss is not one that is reached without having learnt a thing.

    Args:
        loss: The mean loss of many batches, unweighted.
        kind: Mean square or mean absolute error.
        diffusion: The objective, for the losses on its own schedule and training times; None: the
            right answer is taken for noise of unit variance.
        variance: Mean square of the data in the diffusion's space.

    Raises:
        ValueError: The kind is unknown.
    """
    if kind not in UNIT:
        raise ValueError(f'kind must be "mse" or "l1", got {kind!r}')
    if diffusion is None:
        unit = UNIT[kind][0]
        return trivial_finding(LossMarks(kind, loss, unit, unit))
    marks = loss_marks(diffusion, training_times(diffusion, _TIMES), variance, kind)
    return trivial_finding(LossMarks(kind, loss, *marks))


def trivial_finding(marks: LossMarks, by_heart: bool = False) -> Finding:
    """Return what a loss is worth, given the marks at the same times.

    Args:
        marks: The loss and what it is without learning.
        by_heart: Whether other clips, those of the training, are guessed far better.
    """
    loss, zero, known = marks.loss, marks.zero, marks.loudness
    kind = _KINDS[marks.kind]
    unit, name = UNIT[marks.kind]
    zero_name = name if abs(zero / unit - 1) < 0.01 else f"{zero:.3g}"
    said = f"the {kind} loss {loss:.3g}"
    verdict: Severity = "wrong"
    remedy = _START
    if not math.isfinite(loss):
        message = f"{said} is no number; answering zero costs {zero_name}"
        remedy = "look for the first module that says NaN with train.debug_numerics=true"
    elif loss >= (1 + NEAR) * zero:
        message = f"{said} is worse than that of answering zero, {zero_name}"
        remedy = "see whether the check of the sign names it, else lower train.learning_rate"
    elif loss > (1 - NEAR) * zero:
        message = f"{said} is that of a network that answers zero, {zero_name}"
    elif loss > (1 + NEAR) * known:
        message = (
            f"{said} is {loss / known:.2g} times {known:.3g}, what knowing only the loudness of "
            f"the data costs (answering zero costs {zero_name})"
        )
        remedy = (
            "train longer (train.max_minutes); if the data are far quieter or louder than 1, the "
            "network first has to learn that: bring them to a root mean square of 1"
        )
    elif loss > (1 - NEAR) * known:
        message = (
            f"{said} is the white-noise floor of this schedule, {known:.3g}: it has learnt the "
            f"noise level and nothing of the data (answering zero costs {zero_name})"
        )
        remedy = (
            "judge by the share of the possible, not by this loss, which other steps or another "
            "schedule move; look whether the latents are more than noise, then train longer"
        )
    elif loss > (1 - HARDLY) * known:
        verdict = "suspicious"
        message = (
            f"{said} is hardly below {known:.3g}, what knowing only the loudness of the data costs"
        )
        remedy = "train longer (train.max_minutes), and judge by the share of the possible"
    else:
        verdict, remedy = "ok", ""
        message = (
            f"{said} is {100 * (1 - loss / known):.0f} % below {known:.3g}, what knowing only the "
            f"loudness of the data costs (answering zero costs {zero_name})"
        )
    if by_heart and verdict != "ok" and math.isfinite(loss):
        verdict = "suspicious"
        message += ", on held-back clips: those of the training are known by heart"
        remedy = "train on more recordings, for fewer steps or with a smaller network"
    figures: dict[str, float | str] = {
        f"{kind} loss": loss,
        "loss of answering zero": zero,
        "loss of knowing only the loudness": known,
    }
    return Finding("trivial loss", verdict, message, remedy, figures, symptom=True)
