"""All checks of how a model sounds and of how it gets there."""

from __future__ import annotations

from torch import nn

from audio_diffusion_pytorch.data.clip import Clip
from audio_diffusion_pytorch.diagnostics.finding import Finding
from audio_diffusion_pytorch.diagnostics.gathering import attempt
from audio_diffusion_pytorch.diagnostics.observation import Sampling
from audio_diffusion_pytorch.diagnostics.trajectory import (
    examine_trajectory,
    record_trajectory,
    sample_quietly,
)
from audio_diffusion_pytorch.models.clip_loss import LossFunction, diffusion_loss

from .alarms import (
    check_finite_samples,
    check_sample_clipping,
    check_sample_dc,
    check_sample_level,
    check_sample_silence,
)
from .repeatability import check_repeatability
from .solvers import check_solver_sweep
from .spectrum import check_sample_spectrum, check_step_sweep
from .variety import check_memorisation, check_sample_variety

MOST_CLIPS = 512
"""Training clips among which the nearest to a sample is sought."""


def examine_sampling(
    model: nn.Module,
    sampling: Sampling,
    clips: Clip,
    sample_rate: int,
    *,
    held_back: Clip | None = None,
    num_items: int = 32,
    num_steps: int = 30,
    loss: LossFunction = diffusion_loss,
    seconds: float = 15.0,
    seed: int = 0,
) -> list[Finding]:
    """Return what is to say of a model's samples and its way to them.

    Args:
        model: The model, whose diffusion is a `GaussianDiffusion`.
        sampling: How it is sampled, as it is used: with its conditions, guidance and solver.
        clips: Batched training clips, 8 or more; as many as there are, up to 512, for
            memorisation.
        sample_rate: Hz.
        held_back: Batched clips that were not trained on.
        num_items: Sounds to make for levels, spectra and variety, at least 2.
        num_steps: Sampling steps with which the model is used.
        loss: As in training.
        seconds: Of time for the sweep over steps, and at most that for the one over solvers.
        seed: Of all that is drawn.

    Returns:
        Findings in the order of cause and effect. Samples that are no numbers end the list.

    Raises:
        ValueError: The model is of another kind, or sampling does not ask its network.
    """
    found = attempt(
        examine_trajectory, model, sampling, clips, num_steps=num_steps, loss=loss, seed=seed
    )
    samples = sample_quietly(model, sampling, num_items, num_steps, seed)
    found.append(check_finite_samples(samples))
    if found[-1].verdict != "ok":
        return found
    data = clips.audio[:MOST_CLIPS].float().cpu()
    unseen = None if held_back is None else held_back.audio.float().cpu()
    found += [
        *attempt(check_repeatability, model, sampling, seed=seed),
        *attempt(check_sample_silence, samples, data),
        *attempt(
            check_sample_level,
            samples,
            data,
            scaled=getattr(model, "normalizer", None) is not None,
            guided=_guided(model, sampling, seed),
        ),
        *attempt(check_sample_clipping, samples, data),
        *attempt(check_sample_dc, samples, data),
    ]
    if len(data) >= 4:
        found += attempt(check_sample_spectrum, samples, data, sample_rate, unseen)
    if len(data) >= 2:
        found += attempt(check_sample_variety, samples, data)
        found += attempt(check_memorisation, samples, data, unseen)
        found += attempt(
            check_step_sweep, model, sampling, data, sample_rate,
            num_steps=num_steps, seconds=seconds, seed=seed,
        )  # fmt: skip
    return found + attempt(
        check_solver_sweep, model, sampling, num_steps=num_steps, seconds=seconds, seed=seed
    )


def _guided(model: nn.Module, sampling: Sampling, seed: int) -> bool:
    """Whether sampling asks the network twice at a time, as guidance does; if it can be seen."""
    try:
        seen = record_trajectory(model, sampling, num_items=2, num_steps=2, seed=seed)
    except ValueError:
        return False
    return any(call.guided_by is not None for call in seen.calls)
