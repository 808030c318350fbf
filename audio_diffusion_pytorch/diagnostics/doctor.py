"""The doctor: every check that a model, its data and its training give occasion for.

The groups stand in the order of cause and effect. Each is a function of its own, usable alone;
here they are called with what is known, and what is not is said.
"""

from __future__ import annotations

from collections.abc import Collection
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from audio_diffusion_pytorch.data.find import find_audio

from .data_health import ScanLimits, check_finite, examine_data, measure_clips
from .diagnosis import GROUP_TITLES, Diagnosis, Part, examine_parts
from .doctor_parts import (
    LeftOut,
    conditioning_part,
    data_part,
    gain_part,
    learning_parts,
    losses_part,
    overfit_part,
    recorded_part,
    sampling_part,
    schedule_part,
    sounds_part,
    space_part,
)
from .observation import evaluated
from .subject import Subject

QUICK_CLIPS = 16
QUICK_LIMITS = ScanLimits(headers=400, stretches=24, stretch_seconds=2.0, seconds=1.5)


def examine_model(
    subject: Subject,
    *,
    groups: Collection[str] | None = None,
    seed: int = 0,
    show_progress: bool = False,
) -> Diagnosis:
    """Return what every check says of a model; it is left as it is.

    Args:
        subject: The model with its data.
        groups: Only these, keys of `GROUP_TITLES`; None: all of them.
        seed: Of everything random.
        show_progress: Show a bar with the time left.

    Raises:
        ValueError: There is no such group.
    """
    unknown = sorted(set(groups or ()) - set(GROUP_TITLES))
    if unknown:
        raise ValueError(f"groups must be among {', '.join(GROUP_TITLES)}, got {unknown[0]!r}")
    made = [
        data_part(subject, seed),
        space_part(subject, seed),
        schedule_part(subject, seed),
        losses_part(subject, seed),
        *learning_parts(subject, seed),
        conditioning_part(subject, seed),
        sampling_part(subject, seed),
    ]
    asked = [part for part in made if groups is None or part.group in groups]
    return _examined(asked, subject, show_progress)


def examine_start(subject: Subject, *, seed: int = 0, asks_network: bool = True) -> Diagnosis:
    """Return what the cheap checks say before a training: data, space, levels, condition.

    Args:
        subject: The untrained model with its data.
        seed: Of everything random.
        asks_network: Whether its network is asked for some 130 clips; else the data alone speak.
    """
    few = subject.of(QUICK_CLIPS)
    if not asks_network:
        return _examined([data_part(subject, seed, QUICK_LIMITS)], subject)
    parts = [
        data_part(subject, seed, QUICK_LIMITS),
        space_part(few, seed),
        schedule_part(few, seed),
        gain_part(few, seed),
    ]
    return _examined(parts, subject)


def examine_end(
    subject: Subject, sounds: Tensor, start: Diagnosis | None = None, *, seed: int = 0
) -> Diagnosis:
    """Return what the cheap checks say after a training.

    Losses at each noise level, the learning curve, the running mean and the sounds.

    Args:
        subject: The trained model.
        sounds: What it made `(n, c, t)`.
        start: What was found before the training, told again.
        seed: Of everything random.
    """
    parts = [losses_part(subject, seed), recorded_part(subject, seed), sounds_part(subject, sounds)]
    found = _examined(parts, subject)
    return found if start is None else start.joined(found)


def cannot_work(subject: Subject) -> str:
    """Return why a training would be for nothing from its first step, in one line; else empty.

    That is: what the network would be shown are no numbers, or all of it is silence.

    Args:
        subject: The model, its normaliser fitted, and training clips as the data set gives them.
    """
    heard = measure_clips(subject.train, subject.sample_rate)
    finite = check_finite(heard)
    if finite.verdict == "wrong":
        return finite.text
    if not bool(subject.train.audio.any()):
        return (
            f"silence: all {len(heard)} clips that were looked at hold nothing but zeros, sound is "
            "wanted; set data.path to recordings with sound in them"
        )
    to_space = getattr(subject.model, "to_space", None)
    weights = next(subject.model.parameters(), None)
    if to_space is None or weights is None:
        return ""
    with torch.no_grad(), evaluated(subject.model):
        few = subject.of(QUICK_CLIPS).train.audio.to(weights.device, weights.dtype)
        broken = int((~to_space(few).isfinite()).flatten(1).any(1).sum())
    if not broken:
        return ""
    return (
        f"latents: {broken} of {len(few)} clips have NaN or infinite latents, 0 would be right; "
        "encode in float32, and fit the normaliser on clips with sound in them"
    )


def examine_folder(
    path: str | Path,
    *,
    sample_rate: int | None = None,
    length: int | None = None,
    channels: int | None = None,
    seed: int = 0,
    show_progress: bool = False,
) -> Diagnosis:
    """Return what the checks of the data say of a folder of recordings, read as they are.

    Args:
        path: The folder.
        sample_rate: Of training, in Hz, if that is known.
        length: Of a training clip, in samples at that rate.
        channels: Of a training clip.
        seed: Of everything random.
        show_progress: Show a bar.

    Raises:
        FileNotFoundError: There is no such folder, or no sound file in it.
    """
    wanted = {"sample_rate": sample_rate, "length": length, "channels": channels}
    examine = partial(examine_data, path, **wanted, seed=seed)  # type: ignore[arg-type]
    find_audio(path)  # refuses in words of its own what is no folder of sounds
    parts = [Part("data", examine, 6.0)]
    return examine_parts(parts, about=str(path), show_progress=show_progress)


def _examined(
    parts: list[Part | LeftOut], subject: Subject, show_progress: bool = False
) -> Diagnosis:
    made = [part for part in parts if isinstance(part, Part)]
    return examine_parts(
        [overfit_part(part) for part in made] if subject.overfit else made,
        [(part.group, part.why) for part in parts if isinstance(part, LeftOut)],
        about=subject.about,
        show_progress=show_progress,
    )
