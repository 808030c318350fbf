"""All checks of learning, one after the other."""

from __future__ import annotations

from math import isfinite

from torch import nn

from audio_diffusion_pytorch.data.clip import Clip
from audio_diffusion_pytorch.diagnostics.finding import Finding
from audio_diffusion_pytorch.diagnostics.gathering import attempt
from audio_diffusion_pytorch.diagnostics.numerics import check_numerics
from audio_diffusion_pytorch.models.clip_loss import LossFunction, diffusion_loss

from .attention import check_attention
from .channels import check_batch_norm, check_dead_channels
from .gradients import check_gradients
from .noise_level import check_noise_level
from .output import check_output_range
from .overfit import check_overfit
from .overfitting import check_overfitting
from .rates import check_learning_rate
from .trial import choose_clips
from .weights import Weights, check_ema, check_weights_moved

BATCH = 8
"""Clips of the one-batch overfit, and of the step whose numbers are watched."""

USUAL_RATE = 1e-3
"""Learning rate of the single steps of the checks where none is known."""


def examine_learning(
    model: nn.Module,
    clips: Clip,
    held_back: Clip | None = None,
    *,
    learning_rate: float | None = None,
    initial: nn.Module | None = None,
    averaged: Weights | None = None,
    weights_before: Weights | None = None,
    averaged_before: Weights | None = None,
    loss: LossFunction = diffusion_loss,
    seconds: float = 12.0,
    seed: int = 0,
) -> list[Finding]:
    """Return what the checks of learning say; what they lack is left out.

    Args:
        model: The model with its raw weights, or with averaged ones; left as it is.
        clips: Batched training clips.
        held_back: Clips that it was not trained on.
        learning_rate: Of the run; None leaves out the check of it. Where it is wrong, the overfits
            are tried at the best rate found: they judge the network, not its rate.
        initial: The model before training, from which learning rates are tried.
        averaged: The running mean of the weights.
        weights_before: The raw weights at an earlier step.
        averaged_before: The mean at that step.
        loss: As in training.
        seconds: Budget of each check that trains.
        seed: Of everything random.

    Raises:
        ValueError: As `observe`.
    """
    rate = learning_rate or USUAL_RATE
    findings = [
        *attempt(check_batch_norm, model),
        *attempt(check_output_range, model, clips, loss=loss, seed=seed),
        *attempt(check_numerics, model, choose_clips(clips, BATCH), loss=loss, seed=seed),
        *attempt(check_noise_level, model, clips, loss=loss, rate=rate, seconds=seconds, seed=seed),
        *attempt(check_gradients, model, clips, loss=loss, rate=rate, seconds=seconds, seed=seed),
        *attempt(check_dead_channels, model, clips, loss=loss, seed=seed),
        *attempt(check_attention, model, clips, loss=loss, seed=seed),
    ]
    if learning_rate is not None:
        findings += attempt(
            check_learning_rate, model, clips, rate,
            initial=initial, loss=loss, seconds=seconds, seed=seed,
        )  # fmt: skip
        learning_rate = _rate_that_works(findings[-1], rate)
    for items in (1, BATCH):
        if items == 1 or len(clips.audio) > 1:
            findings += attempt(
                check_overfit, model, clips,
                items=items, rate=learning_rate, seconds=seconds, loss=loss, seed=seed,
            )  # fmt: skip
    if weights_before is not None:
        findings += attempt(check_weights_moved, weights_before, model)
    if averaged is not None:
        findings += attempt(
            check_ema, model, averaged, weights_before, averaged_before,
            clips=clips, loss=loss, seed=seed,
        )  # fmt: skip
    if held_back is not None:
        findings += attempt(check_overfitting, model, clips, held_back, loss=loss, seed=seed)
    return findings


def _rate_that_works(judged: Finding, rate: float) -> float:
    """Return the best rate that was tried where the asked one is wrong, else the asked one."""
    best = judged.figures.get("best learning rate tried")
    found = judged.check == "learning rate" and judged.verdict == "wrong"
    return best if found and isinstance(best, float) and isfinite(best) else rate
