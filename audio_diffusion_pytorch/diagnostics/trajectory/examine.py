"""All checks of a sampler's way from noise to sound."""

from __future__ import annotations

import torch
from torch import nn

from audio_diffusion_pytorch.data.clip import Clip
from audio_diffusion_pytorch.diagnostics.finding import Finding
from audio_diffusion_pytorch.diagnostics.gathering import attempt
from audio_diffusion_pytorch.diagnostics.observation import Sampling
from audio_diffusion_pytorch.models.clip_loss import LossFunction, diffusion_loss

from .clamping import check_clamped_state
from .guesses import check_guesses
from .recording import Trajectory, record_trajectory
from .reference import real_reference, some_clips
from .state_size import check_trajectory
from .told_levels import check_told_levels

LEVELS, CLIPS = 9, 32
"""Enough for smooth curves, few enough for a second."""
STEPS = (30, 60)
"""Fewer steps are too wide to judge, more cost time and show the same."""


def examine_trajectory(
    model: nn.Module,
    sampling: Sampling,
    clips: Clip,
    *,
    num_items: int = 8,
    num_steps: int = 30,
    loss: LossFunction = diffusion_loss,
    seed: int = 0,
) -> list[Finding]:
    """Return what is to say of a sampler's states, bounds, levels and guesses.

    Args:
        model: The model, whose diffusion is a `GaussianDiffusion`.
        sampling: How it is sampled.
        clips: Batched clips of the data it was trained on; 32 of them are looked at.
        num_items: Sounds to make.
        num_steps: Sampling steps with which the model is used; 30 to 60 are looked at.
        loss: As in training.
        seed: Of all that is drawn.

    Raises:
        ValueError: The model is of another kind, or sampling does not ask its network.
    """
    steps = min(max(num_steps, STEPS[0]), STEPS[1])
    made = record_trajectory(model, sampling, num_items=num_items, num_steps=steps, seed=seed)
    times = reference_times(made)
    reference = real_reference(model, some_clips(clips, CLIPS), times, loss=loss, seed=seed)
    scaled = getattr(model, "normalizer", None) is not None
    return [
        *attempt(check_told_levels, made),
        *attempt(check_clamped_state, made, reference.clean),
        *attempt(check_trajectory, made, reference, scaled=scaled),
        *attempt(check_guesses, made, reference),
    ]


def reference_times(trajectory: Trajectory, count: int = LEVELS) -> list[float]:
    """Return at most `count` of the times that a sampler visited, evenly among its calls."""
    times = sorted({call.time for call in trajectory.calls}, reverse=True)
    if len(times) <= count:
        return times
    places = torch.linspace(0, len(times) - 1, count).round().long().tolist()
    return [times[place] for place in places]
