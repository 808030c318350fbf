"""Whether labels and the split of the data let a network learn recordings by heart, unseen."""

from __future__ import annotations

from torch import Tensor

from audio_diffusion_pytorch.data.clip import Clip
from audio_diffusion_pytorch.diagnostics.finding import Finding

OWN_LABEL = 0.9
"""Share of the recordings with a label that no other has from which on it is a name, no label."""

FEW = 8
"""Recordings below which each may well have a label of its own."""

IDENTITY, SHARED = "label identity", "held-back recordings"


def label_identity(clips: Clip) -> Finding:
    """Say whether a label is shared by recordings, or is another name of one.

    Args:
        clips: All clips of the training set, batched; only labels and names are looked at (the
            audio may be empty). A few of many would look as if each had a label of its own.

    Raises:
        ValueError: The clips have no labels.
    """
    if clips.labels.ndim != 2 or clips.labels.shape[1] == 0:
        raise ValueError(
            f"labels (n, k) with k of 1 or more are wanted, got {tuple(clips.labels.shape)}: leave "
            "this check out where there are none"
        )
    files = _files(clips)
    shares, counts = [], []
    for column in clips.labels.T.tolist():
        named = [(label, file) for label, file in zip(column, files, strict=True) if label >= 0]
        recordings = set(named)
        labels = [label for label, _ in recordings]
        own = sum(labels.count(label) == 1 for label in set(labels))
        shares.append(own / max(len(recordings), 1))
        counts.append((len(recordings), len(set(labels))))
    worst = max(range(len(shares)), key=lambda k: shares[k])
    share, (recordings_count, label_count) = shares[worst], counts[worst]
    where = "" if len(shares) == 1 else f" in column {worst}"
    message = (
        f"{recordings_count} recordings have {label_count} labels{where}, and "
        f"{100 * share:.0f} % of them one that no other has; below {100 * OWN_LABEL:.0f} % is right"
    )
    figures: dict[str, float | str] = {
        "recordings": float(recordings_count),
        "labels": float(label_count),
        "share with a label of its own": share,
        "column": float(worst),
    }
    if recordings_count < FEW or share < OWN_LABEL:
        return Finding(IDENTITY, "ok", message, "", figures)
    remedy = (
        "take labels that recordings share (data.labels: a note, an instrument, a speaker), since "
        "one that names the recording lets the network learn it by heart"
    )
    return Finding(IDENTITY, "suspicious", message, remedy, figures)


def shared_recordings(train: Clip, held_back: Clip) -> Finding:
    """Say whether held-back clips are of recordings that are trained on.

    By the file that a clip's name tells, and by the samples themselves.

    Args:
        train: Training clips, batched; best all of them.
        held_back: Clips kept from training.
    """
    known, sounds = set(_files(train)), {_key(audio) for audio in train.audio} - {None}
    files = _files(held_back)
    shared = sorted({file for file in files if file in known})
    copies = sum(
        _key(audio) in sounds and file not in known
        for audio, file in zip(held_back.audio, files, strict=True)
    )
    count = len(held_back.audio)
    clips = sum(file in known for file in files) + copies
    message = (
        f"{clips} of {count} held-back clips are of recordings that are trained on, 0 would be "
        "right"
    )
    figures: dict[str, float | str] = {
        "held-back clips": float(count),
        "of trained recordings": float(clips),
        "the same samples under another name": float(copies),
    }
    if clips == 0:
        return Finding(SHARED, "ok", message, "", figures)
    figures["for example"] = ", ".join(shared[:3])
    remedy = (
        "split by recording and not by clip (data.validation holds back whole files), else the "
        "validation loss shows learning by heart as learning"
    )
    return Finding(SHARED, "suspicious", message, remedy, figures)


def _files(clips: Clip) -> list[str]:
    return [name.rpartition("@")[0] or name for name in clips.name]


def _key(audio: Tensor) -> bytes | None:
    """Return the samples; None of silence, which is no copy of any other."""
    if not bool(audio.any()):
        return None
    return bytes(audio.detach().float().cpu().numpy().tobytes())
