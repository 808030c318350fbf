"""Finding the sound files of a folder."""

from __future__ import annotations

import os
from pathlib import Path

from audio_diffusion_pytorch.data.audio_file import AUDIO_SUFFIXES


def find_audio(path: str | Path) -> tuple[Path, list[str]]:
    """The folder that holds the sounds and their names relative to it (with `/`), sorted.

    All subfolders are searched. If `path` has a subfolder `audio` with sounds in it, that is the
    folder taken. Hidden files and folders (a leading dot) are passed over.

    Raises: FileNotFoundError when the folder is missing or no file has a known suffix.
    """
    root = Path(path).expanduser()
    if not root.is_dir():
        kind = "is a file, not a folder" if root.exists() else "does not exist"
        raise FileNotFoundError(f"the data folder {root} {kind}; correct data.path")
    inner = root / "audio"
    if inner.is_dir():
        names = _names(inner)
        if names:
            return inner, names
    names = _names(root)
    if not names:
        raise FileNotFoundError(
            f"no sound file in {root} or its subfolders; put files there that end in "
            f"{' '.join(AUDIO_SUFFIXES)}, or correct data.path"
        )
    return root, names


def _names(root: Path) -> list[str]:
    names: list[str] = []
    visited: set[str] = set()
    for folder, subfolders, files in os.walk(root, followlinks=True):
        real = os.path.realpath(folder)
        if real in visited:  # a link back up must not be walked for ever
            subfolders.clear()
            continue
        visited.add(real)
        subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
        relative = Path(folder).relative_to(root)
        names.extend(
            (relative / name).as_posix()
            for name in files
            if not name.startswith(".") and name.lower().endswith(AUDIO_SUFFIXES)
        )
    return sorted(names)
