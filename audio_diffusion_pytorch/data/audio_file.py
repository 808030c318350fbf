"""Reading sound files: a stretch of any format as floats, without decoding the whole file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor

from audio_diffusion_pytorch.data.errors import REMEDY, AudioFileError
from audio_diffusion_pytorch.data.libsndfile import (
    info_with_soundfile,
    opens_with_soundfile,
    read_with_soundfile,
    soundfile_error,
)
from audio_diffusion_pytorch.data.pyav import blocks_with_av, info_with_av, read_with_av

SOUNDFILE_SUFFIXES = (
    ".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aiff", ".aif", ".aifc", ".au", ".caf",
    ".w64", ".rf64",
)  # fmt: skip
AV_SUFFIXES = (".m4a", ".aac", ".mp4", ".wma", ".m4b", ".mka", ".webm")
AUDIO_SUFFIXES = SOUNDFILE_SUFFIXES + AV_SUFFIXES

_Answer = TypeVar("_Answer")

# MP3 and Vorbis headers may promise an encoder's padding; more than this missing is a cut file.
_LOSSY_SLACK = 4608


@dataclass(frozen=True)
class AudioInfo:
    """What a sound file's header says: `sample_rate` in Hz, `channels`, length in samples."""

    sample_rate: int
    channels: int
    num_frames: int

    @property
    def duration(self) -> float:
        """Length in seconds."""
        return self.num_frames / self.sample_rate


def audio_info(path: str | Path) -> AudioInfo:
    """Rate, channels and length of a sound file, from its header.

    Raises: FileNotFoundError when it is missing, AudioFileError when it is empty, not sound, or
    cut short; ImportError naming the extra when only PyAV could read it.
    """
    path = _existing(path)
    info = AudioInfo(*_by_either(path, info_with_soundfile, info_with_av))
    if min(info.num_frames, info.channels, info.sample_rate) <= 0:
        raise AudioFileError(f"{path}: holds no samples; {REMEDY}")
    return info


def read_audio(
    path: str | Path, start: int = 0, num_frames: int | None = None
) -> tuple[Tensor, int]:
    """A stretch of a sound file as `(c, t)` float32 and its sample rate in Hz.

    The result holds fewer than `num_frames` samples (maybe none) where the file ends earlier.
    It equals the same slice of the whole file, sample by sample, in every format (but for bands
    of noise that an AAC encoder left to the decoder to draw).

    Args:
        path: WAV, FLAC, OGG, MP3, AIFF, ... or, with the extra `[m4a]`, M4A, AAC, MP4, WMA.
        start: first sample, from 0.
        num_frames: how many samples; None reads to the end.

    Raises:
        FileNotFoundError: when there is no such file.
        AudioFileError: empty, not sound, corrupt, cut short, or holding NaN or infinite samples.
        ImportError: PyAV is needed and missing; the message names the extra.
        ValueError: negative `start` or `num_frames`.
    """
    if start < 0 or (num_frames is not None and num_frames < 0):
        raise ValueError(
            f"start and num_frames must be at least 0, got {start} and {num_frames} for {path}"
        )
    path = _existing(path)
    audio, rate = _by_either(
        path,
        lambda file: read_with_soundfile(file, start, num_frames),
        lambda file: read_with_av(file, start, num_frames),
    )
    return _finite(path, audio), rate


def read_blocks(path: str | Path, block_frames: int = 1 << 20) -> Iterator[tuple[Tensor, int]]:
    """The whole file as consecutive `(c, t)` blocks of about `block_frames`, with the rate.

    Raises what `read_audio` raises, and AudioFileError when fewer samples come than the header
    says: this is the full check of a file.
    """
    path = _existing(path)
    info = audio_info(path)
    position = 0
    with _one_line_errors(path):
        blocks = (
            blocks_with_av(path, block_frames)
            if _goes_to_av(path)
            else (
                read_with_soundfile(path, start, block_frames)
                for start in range(0, info.num_frames, block_frames)
            )
        )
        for audio, rate in blocks:
            position += audio.shape[1]
            yield _finite(path, audio), rate
    check_complete(path, position, info.num_frames)


def check_complete(path: Path, num_frames: int, wanted: int) -> None:
    """Raise AudioFileError when clearly fewer samples came than the header promised."""
    if num_frames < wanted - _LOSSY_SLACK:
        raise AudioFileError(
            f"{path}: cut short, {wanted - num_frames} samples are missing; {REMEDY}"
        )


def _finite(path: Path, audio: Tensor) -> Tensor:
    count = audio.numel() - int(torch.isfinite(audio).sum())
    if count:
        raise AudioFileError(f"{path}: holds {count} NaN or infinite samples; {REMEDY}")
    return audio


def _goes_to_av(path: Path) -> bool:
    """Whether PyAV has to read the file: by its name, or because soundfile does not know it."""
    if path.suffix.lower() in AV_SUFFIXES:
        return True
    return not opens_with_soundfile(path) and find_spec("av") is not None


def _by_either(
    path: Path, by_soundfile: Callable[[Path], _Answer], by_av: Callable[[Path], _Answer]
) -> _Answer:
    """The first way's answer, or the second's for files that soundfile does not know."""
    with _one_line_errors(path):
        if path.suffix.lower() in AV_SUFFIXES:
            return by_av(path)
        try:
            return by_soundfile(path)
        except soundfile_error():
            if not _goes_to_av(path):
                raise
        return by_av(path)


def _existing(path: str | Path) -> Path:
    path = Path(path)
    try:
        if not path.is_file():
            raise FileNotFoundError(f"there is no sound file {path}")
        size = path.stat().st_size
    except PermissionError as error:
        raise AudioFileError(_refusal(path, error)) from error
    if size == 0:
        raise AudioFileError(f"{path}: empty file (0 bytes); {REMEDY}")
    return path


@contextmanager
def _one_line_errors(path: Path) -> Iterator[None]:
    """Turn whatever a decoder raises (their classes are many) into one line about the file."""
    try:
        yield
    except (AudioFileError, ImportError, GeneratorExit):
        raise
    except Exception as error:
        raise AudioFileError(_refusal(path, error)) from error


def _refusal(path: Path, error: Exception) -> str:
    reason = " ".join(str(error).split()).rstrip(".")
    if "System error" in reason or isinstance(error, PermissionError):
        return f"{path}: cannot be read, permission is missing or the disk fails; {REMEDY}"
    unknown = "Format not recognised" in reason or "Invalid data found" in reason
    if unknown or "no sound track" in reason:
        return f"{path}: no sound in it although it is named {path.suffix}; {REMEDY}"
    return f"{path}: corrupt or cut short ({reason}); {REMEDY}"
