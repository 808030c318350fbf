"""Reading WAV, FLAC, OGG, MP3 and AIFF through soundfile (libsndfile)."""

from __future__ import annotations

import os
import re
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from audio_diffusion_pytorch.data.errors import REMEDY, AudioFileError

_SIZED_FORMATS = ("WAV", "WAVEX", "AIFF")
_DATA_SIZE = re.compile(r"^ *(?:data|SSND) : (\d+) \(should be (\d+)\)", re.MULTILINE)
_STREAMED_SIZE = 0xFFFFF000  # a program that writes into a pipe cannot know the size: no fault
_UNKNOWN_FRAMES = 1 << 50  # a FLAC written into a pipe: libsndfile cannot seek in it


# Decoders of lossy formats need a run-up: an MP3 frame may borrow bits from frames before it, and
# libsndfile misplaces a seek into the last page of an Ogg Vorbis file, which holds up to 255
# packets of 1024 samples. Samples read on the way are dropped.
_RUN_UP = 16 * 1152
_LAST_OGG_PAGE = (1 << 18) + _RUN_UP


def import_soundfile() -> Any:
    """The `soundfile` module. Raises: ImportError that tells how to get it."""
    try:
        return import_module("soundfile")
    except (ImportError, OSError) as error:
        raise ImportError(f"sound files need soundfile: pip install soundfile ({error})") from error


def soundfile_error() -> type[Exception]:
    """The class of all errors that soundfile raises."""
    error: type[Exception] = import_soundfile().SoundFileError
    return error


def opens_with_soundfile(path: Path) -> bool:
    """Whether soundfile knows the file's format."""
    try:
        with _open(path):
            return True
    except soundfile_error():
        return False


def info_with_soundfile(path: Path) -> tuple[int, int, int]:
    """Sample rate in Hz, channels, length in samples."""
    with _open(path) as file:
        return int(file.samplerate), int(file.channels), int(file.frames)


def read_with_soundfile(
    path: Path, start: int = 0, num_frames: int | None = None
) -> tuple[Tensor, int]:
    """Samples `start .. start + num_frames` as `(c, t)` and the rate; fewer where the file ends."""
    with _open(path) as file:
        left = max(0, int(file.frames) - start)
        count = left if num_frames is None else min(num_frames, left)
        first = _seek_place(file, min(start, int(file.frames)))
        file.seek(first)
        samples = file.read(start - first + count, dtype="float32", always_2d=True)
        return torch.from_numpy(samples[start - first :]).T.contiguous(), int(file.samplerate)


def _seek_place(file: Any, start: int) -> int:
    """Where to begin decoding so that the samples from `start` on are those of a full decode."""
    if file.format == "OGG":
        return max(0, min(start - _RUN_UP, int(file.frames) - _LAST_OGG_PAGE))
    return max(0, start - _RUN_UP) if file.format in ("MP3", "MPEG") else start


def _open(path: Path) -> Any:
    # Bytes carry any file name on POSIX, also one that is not valid UTF-8.
    file = import_soundfile().SoundFile(str(path) if os.name == "nt" else os.fsencode(path))
    if file.frames >= _UNKNOWN_FRAMES:
        file.close()
        raise import_soundfile().SoundFileRuntimeError(
            "its header does not tell its length, which needs the extra [m4a] to be read"
        )
    sizes = _DATA_SIZE.search(file.extra_info) if file.format in _SIZED_FORMATS else None
    if sizes and int(sizes[2]) < int(sizes[1]) < _STREAMED_SIZE:
        file.close()
        raise AudioFileError(
            f"{path}: cut short, {sizes[2]} of {sizes[1]} bytes of sound are there; {REMEDY}"
        )
    return file
