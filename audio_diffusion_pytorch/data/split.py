"""Holding files back: which are trained on and which only judge."""

from __future__ import annotations

import hashlib
import json
import logging
import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

_LOGGER = logging.getLogger(__name__)


class Split(NamedTuple):
    """Two disjoint lists of file names: `train` and `validation`, each sorted."""

    train: list[str]
    validation: list[str]


def split_files(
    files: Sequence[str],
    validation: float | Sequence[str] | str | Path = 0.1,
    seed: int = 0,
    group: str | None = None,
) -> Split:
    """Split file names so that what belongs together stays on one side.

    The order in which groups are held back follows a hash of the seed and the group's name: the
    same files and seed always give the same split, and a file added later moves few others.

    >>> split_files(["a/1.wav", "a/2.wav", "b/1.wav"], 0.3, group="folder")
    Split(train=['a/1.wav', 'a/2.wav'], validation=['b/1.wav'])

    Args:
        files: relative names.
        validation: a share 0..1 of the files (the nearest that whole groups allow, at least one
            group), or the held-back names themselves, or a JSON file with a list of them (bare or
            under the key `held_back`).
        seed: of the choice.
        group: None takes each file for itself; `"folder"` keeps a folder together; any other text
            is a regular expression searched in the name: equal first groups (or equal matches)
            stay together.

    Raises:
        ValueError: a share outside 0..1, an unknown name in the list, an expression that is wrong
            or does not match a file.
        FileNotFoundError: no such JSON file.
    """
    names = sorted(set(files))
    if isinstance(validation, (int, float)):
        held = _chosen_share(names, float(validation), seed, group)
    else:
        if isinstance(validation, (str, Path)):
            validation = _read_list(Path(validation))
        held = set(validation)
        unknown = sorted(held - set(names))
        if unknown:
            raise ValueError(
                f"{len(unknown)} held-back names are not among the {len(names)} files, "
                f"the first is {unknown[0]}"
            )
    train = [name for name in names if name not in held]
    return Split(train, [name for name in names if name in held])


def _chosen_share(names: list[str], share: float, seed: int, group: str | None) -> set[str]:
    if not 0 <= share < 1:
        raise ValueError(f"the share of held-back files must be in 0..1, below 1, got {share}")
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(_group_of(name, group), []).append(name)
    if share == 0:
        return set()
    if len(groups) < 2:
        _LOGGER.warning("only one file or group: nothing is held back for validation")
        return set()
    ordered = sorted(groups, key=lambda key: hashlib.sha256(f"{seed}/{key}".encode()).digest())
    wanted = share * len(names)
    held: list[str] = []
    taken = 0
    for key in ordered:
        grown = len(held) + len(groups[key])
        if abs(grown - wanted) < abs(len(held) - wanted) and taken < len(groups) - 1:
            held.extend(groups[key])
            taken += 1
    if not held:  # every group is larger than twice the share: the smallest comes nearest
        held = min((groups[key] for key in ordered), key=len)
    return set(held)


def _group_of(name: str, group: str | None) -> str:
    if group is None:
        return name
    if group == "folder":
        return PurePosixPath(name).parent.as_posix()
    try:
        found = re.search(group, name)
    except re.error as error:
        raise ValueError(f"the group {group} is no regular expression: {error}") from error
    if found is None:
        raise ValueError(f"the group {group} does not match {name}, so its side is unknown")
    return str(found[1] if found.re.groups else found[0])


def _read_list(path: Path) -> list[str]:
    if not path.is_file():
        raise FileNotFoundError(f"there is no list of held-back files {path}")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is not valid JSON: {error}") from error
    names = content.get("held_back") if isinstance(content, dict) else content
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ValueError(f"{path} needs a list of file names, bare or under the key held_back")
    return names
