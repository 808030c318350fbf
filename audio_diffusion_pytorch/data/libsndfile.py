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
_UNKNOWN_FRAMES = 1 << 50  # what libsndfile says of a FLAC written into a pipe is larger


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
    """Sample rate in Hz, channels, length in samples (decoded to count where no header says)."""
    with _open(path) as file:
        return int(file.samplerate), int(file.channels), _num_frames(file)


def read_with_soundfile(
    path: Path, start: int = 0, num_frames: int | None = None
) -> tuple[Tensor, int]:
    """Samples `start .. start + num_frames` as `(c, t)` and the rate; fewer where the file ends."""
    with _open(path) as file:
        left = max(0, int(file.frames) - start)
        count = left if num_frames is None else min(num_frames, left)
        if count >= _UNKNOWN_FRAMES:
            count = _num_frames(file) - start
        file.seek(min(start, file.frames))
        samples = file.read(count, dtype="float32", always_2d=True)
        return torch.from_numpy(samples).T.contiguous(), int(file.samplerate)


def _open(path: Path) -> Any:
    # Bytes carry any file name on POSIX, also one that is not valid UTF-8.
    file = import_soundfile().SoundFile(str(path) if os.name == "nt" else os.fsencode(path))
    sizes = _DATA_SIZE.search(file.extra_info) if file.format in _SIZED_FORMATS else None
    if sizes and int(sizes[2]) < int(sizes[1]) < _STREAMED_SIZE:
        file.close()
        raise AudioFileError(
            f"{path}: cut short, {sizes[2]} of {sizes[1]} bytes of sound are there; {REMEDY}"
        )
    return file


def _num_frames(file: Any) -> int:
    frames = int(file.frames)
    if frames >= _UNKNOWN_FRAMES:
        frames = sum(len(block) for block in file.blocks(1 << 16, dtype="float32"))
    return frames
