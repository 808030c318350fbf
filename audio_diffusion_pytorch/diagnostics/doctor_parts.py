"""The doctor's groups of checks, each called with what is known of a model."""

from __future__ import annotations

import copy
from dataclasses import replace
from functools import partial
from typing import NamedTuple

from torch import Tensor, nn

from .conditioning_health import examine_conditioning, probe_conditioner_gain
from .conditioning_health.conditions import hear
from .data_health import ScanLimits, examine_data
from .diagnosis import Part
from .finding import Finding
from .gathering import attempt, failure
from .latent_health import examine_latents
from .learning import check_ema, check_recorded_rate, check_weights_moved, examine_learning
from .observation import Sampling
from .possible import examine_losses
from .sampling_health import (
    check_finite_samples,
    check_memorisation,
    check_sample_clipping,
    check_sample_dc,
    check_sample_level,
    check_sample_silence,
    check_sample_spectrum,
    check_sample_variety,
    examine_sampling,
)
from .schedule_health import examine_schedule
from .subject import Subject
from .trajectory import sample_quietly

SAMPLES = 16
UNTOLD = "left out: the network is told nothing but the noise level, or all clips the same"
LEAST_LOSSES = 24
"""Fewer rows of a curve do not judge a learning rate: they differ by chance."""


MEANT_BY_OVERFIT = (
    "distinct clips", "duplicates", "input scale", "latent scale", "memorised samples",
)  # fmt: skip
"""Faults of data that are few clips of many, and of knowing these by heart; the normaliser was
fitted on all."""


class LeftOut(NamedTuple):
    """A group, or a check of it, that is not made, and why."""

    group: str
    why: str


def data_part(subject: Subject, seed: int, limits: ScanLimits | None = None) -> Part:
    """Examine the recordings, and the clips on their way into the diffusion."""
    data = subject.train if subject.data is None else subject.data
    return Part(
        "data",
        partial(
            examine_data, data, model=subject.model, collate=subject.collate,
            sample_rate=subject.sample_rate, limits=limits, seed=seed,
        ),
        6.0,
    )  # fmt: skip


def space_part(subject: Subject, seed: int) -> Part | LeftOut:
    """Examine the latents, or whatever else lies between audio and diffusion."""
    if getattr(subject.model, "autoencoder", None) is None and subject.train.audio.shape[1] <= 2:
        return LeftOut("space", "left out: the model works on raw samples")
    model = _SpaceOnly(subject.model) if subject.one_level_a_clip else subject.model
    examine = partial(
        examine_latents, model, subject.train,
        loss=subject.loss, sample_rate=subject.sample_rate, seed=seed,
    )  # fmt: skip
    return Part("space", examine, 3.0)


class _SpaceOnly(nn.Module):
    """A model's space without its objective, for models whose objective cannot be asked."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.net = getattr(model, "net", None)  # whose weights tell the device
        self.autoencoder = getattr(model, "autoencoder", None)
        self.normalizer = getattr(model, "normalizer", None)


def schedule_part(subject: Subject, seed: int) -> Part | LeftOut:
    """Examine the noise levels of training and sampling."""
    if why := subject.one_level_a_clip:
        return LeftOut("schedule", f"left out: {why}")
    sampling = _sampling(subject)  # why there is none the group of sampling says
    examine = partial(
        examine_schedule, subject.model, subject.train, loss=subject.loss,
        sampling=None if isinstance(sampling, LeftOut) else sampling,
        num_steps=subject.num_steps, seed=seed,
    )  # fmt: skip
    return Part("schedule", examine, 2.0)


def losses_part(subject: Subject, seed: int) -> Part | LeftOut:
    """Examine the errors at fixed noise levels beside what is possible."""
    if why := subject.one_level_a_clip:
        return LeftOut("losses", f"left out: {why}")
    examine = partial(
        examine_losses, subject.model, subject.train, subject.held_back, loss=subject.loss,
        against=subject.against, levels=subject.levels, seed=seed,
    )  # fmt: skip
    return Part("losses", examine, 8.0)


def learning_parts(subject: Subject, seed: int) -> list[Part | LeftOut]:
    """Examine whether the network learns, and what became of its weights."""
    notes = []
    if subject.raw is None:
        notes.append(LeftOut("learning", "EMA: left out, there are no raw weights beside averaged"))
    if subject.raw_before is None:
        why = "weights that never moved: left out, there is no earlier checkpoint"
        notes.append(LeftOut("learning", why))
    if why := subject.one_level_a_clip:
        return [*notes, LeftOut("learning", f"all else left out: {why}"),
                recorded_part(subject, seed)]  # fmt: skip
    raw = subject.model if subject.raw is None else subject.raw
    examine = partial(
        examine_learning, raw, subject.train, subject.held_back,
        learning_rate=subject.learning_rate, initial=_before_training(subject),
        averaged=None if subject.raw is None else subject.model,
        weights_before=subject.raw_before, averaged_before=subject.averaged_before,
        loss=subject.loss, seed=seed,
    )  # fmt: skip
    curve = Part("learning", partial(_curve, subject), name="the run's own curve")
    return [*notes, Part("learning", examine, 50.0), curve]


def _before_training(subject: Subject) -> nn.Module | None:
    """Return the model before training in the space of the trained one: as it took its first step.

    A model that was only built again has not seen the data that its normaliser is fitted on.
    """
    if subject.initial is None:
        return None
    own, fitted = (getattr(m, "normalizer", None) for m in (subject.initial, subject.model))
    if own is None or fitted is None:
        return subject.initial
    initial = copy.deepcopy(subject.initial)
    copied = initial.get_submodule("normalizer")
    copied.load_state_dict(fitted.state_dict())
    return initial


def recorded_part(subject: Subject, seed: int) -> Part:
    """Examine what a run has recorded: its curve, its weights and their mean."""

    def examine() -> list[Finding]:
        findings = _curve(subject)
        if subject.raw is None:
            return findings
        if subject.raw_before is not None:
            findings += attempt(check_weights_moved, subject.raw_before, subject.raw)
        clips = None if subject.one_level_a_clip else subject.train
        findings += attempt(
            check_ema, subject.raw, subject.model, subject.raw_before, subject.averaged_before,
            clips=clips, loss=subject.loss, seed=seed,
        )  # fmt: skip
        return findings

    return Part("learning", examine, name="what the run recorded")


def _curve(subject: Subject) -> list[Finding]:
    rate, losses = subject.learning_rate, subject.losses
    if rate is None or len(losses) < LEAST_LOSSES:
        return []
    return attempt(check_recorded_rate, losses, rate)


def gain_part(subject: Subject, seed: int) -> Part | LeftOut:
    """Examine how strong an untrained network's condition is beside its signal."""
    if why := subject.one_level_a_clip:
        return LeftOut("conditioning", f"left out: {why}")

    def examine() -> list[Finding]:
        if len(subject.train.audio) < 2:
            return []
        model, clips, loss = subject.model, subject.train, subject.loss
        if not bool(hear(model, clips, (0.0,), loss=loss, seed=seed).differs.any()):
            return []
        return [probe_conditioner_gain(model, clips, initial=True, loss=loss, seed=seed)]

    return Part("conditioning", examine, name="gain of the condition", nothing=UNTOLD)


def conditioning_part(subject: Subject, seed: int) -> Part | LeftOut:
    """Examine whether the condition is heard, and where it gets lost."""
    if why := subject.one_level_a_clip:
        return LeftOut("conditioning", f"left out: {why}")
    examine = partial(
        examine_conditioning, subject.model, subject.train, subject.held_back,
        initial=subject.initial, collection=subject.collection, sampling=subject.sampling,
        loss=subject.loss, seed=seed,
    )  # fmt: skip
    return Part("conditioning", examine, 5.0, nothing=UNTOLD)


def sampling_part(subject: Subject, seed: int) -> Part | LeftOut:
    """Examine the sampler's way from noise to sound, and the sounds."""
    sampling = _sampling(subject)
    if isinstance(sampling, LeftOut):
        return sampling
    if not subject.one_level_a_clip:
        examine = partial(
            examine_sampling, subject.model, sampling, subject.train, subject.sample_rate,
            held_back=subject.held_back, num_steps=subject.num_steps, loss=subject.loss, seed=seed,
        )  # fmt: skip
        return Part("sampling", examine, 50.0)

    def sounds_alone() -> list[Finding]:
        made = sample_quietly(subject.model, sampling, SAMPLES, subject.num_steps, seed)
        return examine_sounds(made, subject.train.audio, sample_rate=subject.sample_rate)

    return Part("sampling", sounds_alone, 10.0, name="sounds")


def _sampling(subject: Subject) -> Sampling | LeftOut:
    """Return how sounds are made, or why nobody knows."""
    try:
        sampling = subject.sampling_in_turn
    except Exception as error:  # an objective that cannot be asked must not end the others
        return LeftOut("sampling", f"left out: {failure('sampling', error)}")
    if sampling is None:
        return LeftOut("sampling", "left out: it is not known how the model makes sounds; pass "
                       "sampling=(clips, num_steps, generator) -> audio")  # fmt: skip
    return sampling


def overfit_part(part: Part) -> Part:
    """Return the same checks for a run that was to know few clips by heart: that is no fault."""

    def examine() -> list[Finding]:
        return [_meant(found) for found in part.examine()]

    return replace(part, examine=examine)


def _meant(found: Finding) -> Finding:
    if found.verdict == "ok" or found.check not in MEANT_BY_OVERFIT:
        return found
    message = f"{found.message}; not judged, as few clips were to be known by heart (train.overfit)"
    return replace(found, verdict="ok", message=message, remedy="")


def sounds_part(subject: Subject, sounds: Tensor) -> Part:
    """Examine sounds that were made already."""
    return Part("sampling", partial(examine_sounds, sounds, subject.judging.audio), name="sounds")


def examine_sounds(
    sounds: Tensor, data: Tensor, *, sample_rate: int | None = None
) -> list[Finding]:
    """Return what is to say of sounds without asking the model that made them.

    Args:
        sounds: `(n, c, t)`.
        data: Recordings `(m, c, t)` that they should be like.
        sample_rate: Hz, for spectra and variety; None leaves these out.
    """
    sounds, data = sounds.detach().float().cpu(), data.float().cpu()
    findings = [check_finite_samples(sounds)]
    if findings[0].verdict != "ok":
        return findings
    findings += [
        *attempt(check_sample_silence, sounds, data),
        *attempt(check_sample_level, sounds, data),
        *attempt(check_sample_clipping, sounds, data),
        *attempt(check_sample_dc, sounds, data),
    ]
    if sample_rate is not None and len(data) >= 4:
        findings += attempt(check_sample_spectrum, sounds, data, sample_rate)
        findings += attempt(check_sample_variety, sounds, data)
        findings += attempt(check_memorisation, sounds, data)
    return findings
