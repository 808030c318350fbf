"""Checks of how many different sounds there are: copies, and data sets of a single clip."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import TypeVar

from audio_diffusion_pytorch.diagnostics.finding import Finding, Severity

from .same_sound import same_sounds
from .scan import spread
from .sounds import SoundFacts
from .wording import counted, naming, out_of, percent

_Entry = TypeVar("_Entry", bound=Hashable)
Unit = tuple[str, int]

DUPLICATES, DISTINCT = "duplicates", "distinct clips"

# Copies weigh more in training than they should, and one on each side of a split lets a score
# flatter; a few do no harm.
COPIES_SUSPICIOUS, COPIES_WRONG = 0.03, 0.5
FEWEST_CLIPS = 16  # a batch: with fewer a model has learnt them by heart in minutes


def check_duplicates(
    sounds: Sequence[SoundFacts],
    fingerprints: Mapping[str, str] | None = None,
    same: Sequence[tuple[int, int]] | None = None,
) -> Finding:
    """Count the copies: the same bytes, the same samples, or one sound at another gain or offset.

    Args:
        sounds: What was measured; stretches of one file are no copies of each other.
        fingerprints: Of the files' bytes, by name, also of files of which no sound was measured.
        same: What `same_sounds(sounds)` gave, if that is known already.
    """
    names = _units(sounds)
    units = list(dict.fromkeys([*names, *((name, 0) for name in fingerprints or {})]))
    bytes_ = _equal(((name, 0), digest) for name, digest in (fingerprints or {}).items())
    heard = [
        (name, sound.digest) for name, sound in zip(names, sounds, strict=True) if sound.rms > 0
    ]
    exact = _groups(units, [*bytes_, *_equal(heard)])
    pairs = same_sounds(sounds) if same is None else same
    groups = _groups(units, [*bytes_, *((names[i], names[j]) for i, j in pairs)])
    total, exact_copies = len(units), len(units) - len(exact)
    copies = total - len(groups)
    part = copies / max(1, total)
    message = (
        f"{out_of(copies, total, 'sound')} are copies ({exact_copies} exact, "
        f"{copies - exact_copies} at another gain or offset), right is under "
        f"{percent(COPIES_SUSPICIOUS)}"
    )
    figures = {
        "sounds looked at": total,
        "sounds compared at any gain and offset": len(sounds),
        "exact copies": exact_copies,
        "copies at another gain or offset": copies - exact_copies,
        "distinct sounds": len(groups),
    }
    if part <= COPIES_SUSPICIOUS:
        return Finding(DUPLICATES, "ok", message, figures=figures)
    verdict: Severity = "wrong" if part > COPIES_WRONG else "suspicious"
    largest = max(groups, key=len)
    names_ = [name for name, _ in largest]
    remedy = f"keep one of each{naming(names_)}, before the data are split"
    return Finding(DUPLICATES, verdict, message, remedy, figures)


def check_distinct(
    sounds: Sequence[SoundFacts],
    num_items: int | None = None,
    same: Sequence[tuple[int, int]] | None = None,
    random: bool | None = None,
) -> Finding:
    """Count the clips that differ: a model of one clip can only play that clip.

    Args:
        sounds: What was measured, some or all of the data.
        num_items: Clips in the data set; None: not known, what was measured may be few of many,
            unless all of it was cut from one file.
        same: What `same_sounds(sounds)` gave, if that is known already.
        random: Whether clips are cut from anywhere in a file, as with data.crop=random; None: not
            known.
    """
    heard = [index for index, sound in enumerate(sounds) if sound.rms > 0]
    pairs = same_sounds(sounds) if same is None else same
    kept = set(_apart(sounds, heard))
    both = [(one, other) for one, other in pairs if one in kept and other in kept]
    found = len(_groups([index for index in heard if index in kept], both))
    total = len(heard) if num_items is None else num_items
    # Where all that was looked at is one, the others most likely are, too.
    distinct = min(found, total)
    if found > 1 or len(heard) == 1:
        distinct = max(distinct, round(found / len(heard) * total))
    known = num_items is not None or _of_one_file(sounds)
    right = FEWEST_CLIPS if known else min(FEWEST_CLIPS, max(2, total))
    message = (
        f"{counted(distinct, 'distinct clip')} among {total} ({len(heard)} looked at), right is at "
        f"least {right}"
    )
    figures = {"distinct clips": distinct, "clips": total, "clips looked at": len(heard)}
    if distinct >= right:
        return Finding(DISTINCT, "ok", message, figures=figures)
    if distinct <= 1:
        start = ", or set data.crop=random for all of a long one" if random is False else ""
        message += ": a model can only learn this one by heart"
        remedy = (
            f"add recordings, at least {FEWEST_CLIPS} different clips{start}; to test whether a "
            "model can learn at all, set train.overfit=1"
        )
        return Finding(DISTINCT, "wrong", message, remedy, figures)
    crop = " and data.crop=random" if random is False else ""
    remedy = f"add recordings, or set data.length smaller{crop} for more clips"
    return Finding(DISTINCT, "suspicious", message, remedy, figures)


def _apart(sounds: Sequence[SoundFacts], heard: Sequence[int]) -> list[int]:
    """The sounds heard, of each file no more than fit end to end where its sounds were cut."""
    files: dict[tuple[str, int], list[int]] = {}
    for index in heard:
        sound = sounds[index]
        # What has no place in a file of its own is told from others by its sound alone.
        files.setdefault((sound.file, -1 if sound.file != sound.name else index), []).append(index)
    kept = []
    for members in files.values():
        start = min(sounds[index].place for index in members)
        end = max(sounds[index].place + sounds[index].num_frames for index in members)
        fitting = max(1, round((end - start) / sounds[members[0]].num_frames))
        kept += spread(sorted(members, key=lambda index: sounds[index].place), fitting)
    return kept


def _of_one_file(sounds: Sequence[SoundFacts]) -> bool:
    """Whether these are several places of a single file, of which there are no more then."""
    return len({sound.name for sound in sounds}) > 1 and len({s.file for s in sounds}) == 1


def _units(sounds: Sequence[SoundFacts]) -> list[Unit]:
    """What may be a copy of another: a file, however many of its stretches were measured.

    A clip that comes twice under one name is two.
    """
    seen: Counter[tuple[str, int]] = Counter()
    units = []
    for sound in sounds:
        units.append((sound.name, seen[sound.name, sound.start]))
        seen[sound.name, sound.start] += 1
    return units


def _equal(digests: Iterable[tuple[Unit, str]]) -> list[tuple[Unit, Unit]]:
    """Pairs with the same digest."""
    known: dict[str, Unit] = {}
    return [
        (known[digest], unit) for unit, digest in digests if known.setdefault(digest, unit) != unit
    ]


def _groups(
    entries: Iterable[_Entry], pairs: Iterable[tuple[_Entry, _Entry]]
) -> list[list[_Entry]]:
    """Entries joined by pairs, directly or over others."""
    group = {entry: [entry] for entry in entries}
    for one, other in pairs:
        kept, joined = group[one], group[other]
        if kept is not joined:
            kept.extend(joined)
            group.update(dict.fromkeys(joined, kept))
    return list({id(members): members for members in group.values()}.values())
