"""Training against held-back clips, by noise level."""

from __future__ import annotations

from torch import nn

from audio_diffusion_pytorch.data.clip import Clip
from audio_diffusion_pytorch.diagnostics.finding import Finding, Severity
from audio_diffusion_pytorch.diagnostics.report import CurvePlot
from audio_diffusion_pytorch.models.clip_loss import LossFunction, diffusion_loss

from .level_errors import level_errors
from .trial import choose_clips
from .words import level_range, number

GAP = 3.0
"""Times the error on training clips that the error on held-back ones may be: small healthy models
come to 2.2 where little data meet many noise-free details."""

WORSE_THAN_LOUDNESS = 1.2
"""Share of the error of knowing only the loudness above which memory does harm."""


def check_overfitting(
    model: nn.Module,
    train: Clip,
    held_back: Clip,
    *,
    items: int = 32,
    loss: LossFunction = diffusion_loss,
    seed: int = 0,
) -> Finding:
    """Compare the error on training and on held-back clips, each beside knowing their loudness.

    Args:
        model: Left as it is.
        train: Batched clips that it was trained on.
        held_back: Clips that it never saw.
        items: Clips of each that are used.
        loss: As in training.
        seed: Of the noise.

    Raises:
        ValueError: As `observe`.
    """
    seen = level_errors(model, choose_clips(train, items), loss=loss, seed=seed)
    new = level_errors(model, choose_clips(held_back, items), loss=loss, seed=seed)
    gap = new.shares / seen.shares.clamp_min(1e-12)
    decibels = seen.decibels.tolist()
    wide = [level for level, g in zip(decibels, gap.tolist(), strict=True) if g > GAP]
    harm = [
        level
        for level, g, share in zip(decibels, gap.tolist(), new.shares.tolist(), strict=True)
        if g > GAP and share > WORSE_THAN_LOUDNESS
    ]
    most = int(gap.argmax())
    message = (
        f"the error on held-back clips is up to {number(float(gap[most]))} times that on training "
        f"clips, at signal over noise of {decibels[most]:g} dB, up to {number(GAP)} times is right"
    )
    # Never wrong: what is known by heart plays well, it only is not new.
    verdict: Severity = "suspicious" if wide else "ok"
    remedy = ""
    if wide:
        message += f": the training clips are known by heart at {level_range(wide)}"
        remedy = "train on more recordings, for fewer steps, or with a smaller network"
    if harm:
        message += f", and what is new is guessed worse than by its loudness at {level_range(harm)}"
    return Finding(
        "overfitting",
        verdict,
        message,
        remedy,
        figures={
            "largest gap": float(gap[most]),
            "level of the largest gap in dB": decibels[most],
            "share of error on training clips": seen.share,
            "share of error on held-back clips": new.share,
        },
        curves=(
            CurvePlot(
                "Error over that of knowing only the loudness",
                {
                    "training clips": (decibels, seen.shares.tolist()),
                    "held-back clips": (decibels, new.shares.tolist()),
                },
                x_label="signal over noise in dB",
                y_label="share",
            ),
        ),
        symptom=True,
    )
