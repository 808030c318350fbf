"""Whether conditions of plain numbers, such as an encoder's codes, tell clips apart at all."""

from __future__ import annotations

from torch import Tensor, nn

from audio_diffusion_pytorch.data.clip import Clip
from audio_diffusion_pytorch.diagnostics.finding import SEVERITIES, Finding, Severity
from audio_diffusion_pytorch.models.clip_loss import LossFunction, diffusion_loss

from .conditions import Told, hear, leaves, percent

BOUND = 0.99
"""From here on a number counts as at +-1: tanh has lost 98 % of its slope."""

SATURATED = 0.9
"""Share of numbers at +-1 that no encoder with a slope has; binary codes do, so it is no proof."""

ALIKE = 1e-3
"""Deviation between clips, over the size of the numbers, that is no more than rounding in bf16."""

CHECK = "condition spread"


def condition_spread(
    model: nn.Module, clips: Clip, *, loss: LossFunction = diffusion_loss, seed: int = 0
) -> Finding:
    """Say whether codes and embeddings differ between clips, and whether they sit at +-1.

    Codes that a tanh has driven to +-1 learn no more: no gradient passes it.

    Args:
        model: The model, trained or not.
        clips: Batched clips, 2 or more; up to 24 of them are used.
        loss: As in training.
        seed: Of the noise.

    Raises:
        ValueError: The network is told no real numbers; there are fewer than 2 clips; as `observe`.
    """
    found = spread_of(hear(model, clips, (0.0,), loss=loss, seed=seed))
    if found is None:
        raise ValueError(
            "a spread is sought in codes and embeddings, several real numbers a clip, and the "
            "network is told none: leave this check out"
        )
    return found


def spread_of(told: Told) -> Finding | None:
    """As `condition_spread`, of what was heard already; None where there are no real numbers."""
    codes = _codes(told)
    found = [_judged(name, value) for name, value in codes]
    return max(found, key=lambda finding: SEVERITIES.index(finding.verdict), default=None)


def _codes(told: Told) -> list[tuple[str, Tensor]]:
    """Return the parts of a condition with several real numbers a clip, masks left out."""
    return [
        (name, part.detach().float().flatten(1))
        for name, part in leaves(told.observed[0].cond, len(told.order))
        if isinstance(part, Tensor)
        and part.is_floating_point()
        and part.ndim > 1
        and part[0].numel() > 1
        and "mask" not in name
    ]


def _judged(name: str, codes: Tensor) -> Finding:
    """Return what there is to say of one part `(b, n)`."""
    share = float((codes.abs().sub(1).abs() <= 1 - BOUND).float().mean())
    size = float(codes.square().mean().sqrt())
    spread = float(codes.std(0, correction=0).square().mean().sqrt()) / max(size, 1e-12)
    saturated, alike = share > SATURATED, spread < ALIKE
    figures: dict[str, float | str] = {
        "condition": name,
        "share at +-1": share,
        "deviation between clips over size": spread,
        "clips": float(len(codes)),
    }
    between = f"they differ between clips by {percent(spread)} of their size"
    if saturated:
        message = (
            f"codes ({name}) are saturated: {percent(share)} of them at +-1 and {between}, right "
            f"is a spread: under {percent(SATURATED)} at +-1"
        )
        remedy = (
            "start the encoder where its tanh is steep and keep it there: bring its input and what "
            "enters the tanh to mean 0, the latter to a deviation of about 0.5 (BatchNorm1d before "
            "the tanh), and train again; binary codes may be meant so"
        )
        several = bool((codes > 0).any()) and bool((codes < 0).any())
        verdict: Severity = "wrong" if alike and several else "suspicious"
        return Finding(CHECK, verdict, message, remedy, figures)
    message = (
        f"of the numbers told ({name}) {percent(share)} are at +-1, right is under "
        f"{percent(SATURATED)}; {between}, right is over {percent(ALIKE)}"
    )
    if not alike:
        return Finding(CHECK, "ok", message, "", figures)
    return Finding(
        CHECK,
        "suspicious",
        message,
        f"look what makes the {name}: an encoder that gives all clips the same, or the same text "
        "for all of them, tells the network nothing",
        figures,
    )
