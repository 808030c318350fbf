"""The checks of the loss against what is possible."""

from __future__ import annotations

from torch import nn

from audio_diffusion_pytorch.data.clip import Clip
from audio_diffusion_pytorch.diagnostics.finding import Finding
from audio_diffusion_pytorch.diagnostics.gathering import attempt
from audio_diffusion_pytorch.models.clip_loss import LossFunction, diffusion_loss

from .compare import compare_losses
from .levels import Levels
from .measure import measure_levels
from .share import check_best, check_share
from .sign import check_answer_sign
from .trivial import trivial_finding


def examine_losses(
    model: nn.Module,
    train: Clip,
    held_back: Clip | None = None,
    *,
    loss: LossFunction = diffusion_loss,
    against: Levels | None = None,
    levels: Levels | None = None,
    seed: int = 0,
) -> list[Finding]:
    """Check a model's errors at fixed noise levels beside those of knowing less.

    Args:
        model: Its objective is a `GaussianDiffusion` with one noise level per clip.
        train: Training clips, batched; 32 of them are used.
        held_back: Clips never trained on; None: the training clips judge.
        loss: As in training.
        against: The table of the previous best run, as `read_levels` gives it.
        levels: The model's own table, where `measure_levels` made it already.
        seed: Of the noise.

    Raises:
        ValueError: The objective is another one, or its schedule reaches none of the levels.
    """
    if levels is None:
        levels = measure_levels(model, train, held_back, loss=loss, seed=seed)
    judged = train if held_back is None else held_back
    findings = [
        *attempt(check_answer_sign, model, judged, loss=loss, levels=levels, seed=seed),
        *attempt(trivial_finding, levels.marks, levels.by_heart),
        *attempt(check_share, levels, against),
    ]
    if against is not None:
        findings += attempt(check_best, levels, against)
        findings += attempt(compare_losses, levels, against, ("this run", "the previous best run"))
    return findings
