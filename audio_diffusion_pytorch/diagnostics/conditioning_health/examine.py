"""All checks of the conditioning, one after the other."""

from __future__ import annotations

from contextlib import suppress
from copy import deepcopy

from torch import nn

from audio_diffusion_pytorch.data.clip import Clip
from audio_diffusion_pytorch.diagnostics.finding import Finding
from audio_diffusion_pytorch.diagnostics.gathering import attempt
from audio_diffusion_pytorch.models.clip_loss import LossFunction, diffusion_loss

from .conditions import Told, hear, leaves
from .influence import influence_of
from .leak import condition_against_target, condition_leak, is_label_like, target_signals
from .null import null_finding, null_of
from .probe import gain_of, probe_conditioner_gain
from .recordings import label_identity, shared_recordings
from .sampled import SamplingLike, sampled_finding, sampling_like
from .spread import spread_of


def examine_conditioning(
    model: nn.Module,
    clips: Clip,
    held_back: Clip | None = None,
    *,
    initial: nn.Module | None = None,
    collection: Clip | None = None,
    sampling: SamplingLike | None = None,
    loss: LossFunction = diffusion_loss,
    seed: int = 0,
) -> list[Finding]:
    """Return what the checks of the conditioning say; what does not apply is left out.

    Nothing at all is said of a network that is told nothing, or of a single clip.

    Args:
        model: The trained model; left as it is.
        clips: Batched training clips.
        held_back: Clips that it was not trained on; the network is asked about these, if they
            are told different things.
        initial: The model as it was before training, of which the gain is measured, too.
        collection: All training clips, of which only labels and names are looked at (the audio may
            be empty); without it labels are not held against recordings.
        sampling: How the model makes sounds like given clips; default `sampling_like(model)`.
        loss: As in training.
        seed: Of everything random.

    Raises:
        ValueError: As `observe`.
    """
    told, asked = None, clips
    for asked in [clips] if held_back is None else [held_back, clips]:
        told = hear(model, asked, loss=loss, seed=seed) if len(asked.audio) > 1 else None
        if told is not None and bool(told.differs.any()):
            break
    if told is None or not _is_told(told):
        return []
    findings = attempt(spread_of, told) + attempt(influence_of, told)  # the cause comes first
    if bool(told.differs.any()):
        findings += _of_network(model, asked, told, initial, sampling, loss, seed)
    if target_signals(told.observed[0]):
        findings += attempt(condition_against_target, model, asked, loss=loss, seed=seed)
    if is_label_like(told.observed[0]):
        findings += attempt(condition_leak, model, asked, loss=loss, seed=seed)
    if collection is not None and collection.labels.shape[-1] > 0:
        findings += attempt(label_identity, collection)
    if held_back is not None:
        findings += attempt(shared_recordings, clips, held_back)
    return findings


def _is_told(told: Told) -> bool:
    return any(True for _ in leaves(told.observed[0].cond, len(told.order)))


def _of_network(
    model: nn.Module,
    clips: Clip,
    told: Told,
    initial: nn.Module | None,
    sampling: SamplingLike | None,
    loss: LossFunction,
    seed: int,
) -> list[Finding]:
    """Return what there is to say where clips are told different things."""
    middle = told.decibels.index(0.0)  # where signal and noise are alike
    alike = told._replace(observed=[told.observed[middle]], decibels=(0.0,))
    findings = attempt(gain_of, alike)
    if initial is not None:
        before = _with_space_of(initial, model)
        findings += attempt(
            probe_conditioner_gain, before, clips, initial=True, loss=loss, seed=seed
        )
    null = null_of(told.observed[0])
    if null is not None and bool(told.only(null).differs.any()):
        findings += attempt(null_finding, told, null)
    if sampling is not None:
        findings += attempt(sampled_finding, model, clips, told, sampling, loss=loss, seed=seed)
    elif sampling_like(model, loss) is not None:
        with suppress(TypeError, ValueError):  # a model of one's own may be called otherwise
            findings.append(sampled_finding(model, clips, told, loss=loss, seed=seed))
    return findings


def _with_space_of(initial: nn.Module, model: nn.Module) -> nn.Module:
    """Return an untrained model with the scales of the data, which are measured and not learnt."""
    normalizer = getattr(model, "normalizer", None)
    if normalizer is None or not hasattr(initial, "normalizer"):
        return initial
    before = deepcopy(initial)
    before.normalizer = normalizer
    return before
