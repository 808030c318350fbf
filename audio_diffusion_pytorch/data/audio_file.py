"""Reading sound files: a stretch of any format as floats, without decoding the whole file."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from audio_diffusion_pytorch.data.errors import AudioFileError
from audio_diffusion_pytorch.data.pyav import info_with_av, read_with_av

SOUNDFILE_SUFFIXES = (
    ".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aiff", ".aif", ".aifc", ".au", ".caf",
    ".w64", ".rf64",
)  # fmt: skip
AV_SUFFIXES = (".m4a", ".aac", ".mp4", ".wma", ".m4b", ".mka", ".webm")
AUDIO_SUFFIXES = SOUNDFILE_SUFFIXES + AV_SUFFIXES
REMEDY = "remove it or set data.bad=skip"

# MP3 and Vorbis headers may promise an encoder's padding; more than this missing is a cut file.
_LOSSY_SLACK = 4608
_SIZED_FORMATS = ("WAV", "WAVEX", "AIFF")
_DATA_SIZE = re.compile(r"^ *(?:data|SSND) : (\d+) \(should be (\d+)\)", re.MULTILINE)
_STREAMED_SIZE = 0xFFFFF000  # a program that writes into a pipe cannot know the size: no fault


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
    if path.suffix.lower() not in AV_SUFFIXES:
        try:
            return _soundfile_info(path)
        except _soundfile_error() as error:
            if not _av_may_help(path):
                raise AudioFileError(_refusal(path, error)) from error
    try:
        rate, channels, num_frames = info_with_av(path)
    except ImportError:
        raise
    except Exception as error:
        raise AudioFileError(_refusal(path, error)) from error
    return _checked_info(path, AudioInfo(rate, channels, num_frames))


def read_audio(
    path: str | Path, start: int = 0, num_frames: int | None = None
) -> tuple[Tensor, int]:
    """A stretch of a sound file as `(c, t)` float32 and its sample rate in Hz.

    The result holds fewer than `num_frames` samples (maybe none) where the file ends earlier.
    It equals the same slice of the whole file, sample by sample, in every format.

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
    samples, rate = _read(path, start, num_frames)
    if not np.isfinite(samples).all():
        count = int((~np.isfinite(samples)).sum())
        raise AudioFileError(f"{path}: holds {count} NaN or infinite samples; {REMEDY}")
    return torch.from_numpy(np.ascontiguousarray(samples.T)), rate


def read_blocks(path: str | Path, block_frames: int) -> Iterator[tuple[Tensor, int]]:
    """The whole file as consecutive `(c, t)` blocks of at most `block_frames`, with the rate.

    Raises what `read_audio` raises, and AudioFileError when fewer samples come than the header
    says: this is the full check of a file.
    """
    path = _existing(path)
    info = audio_info(path)
    position = 0
    while position < info.num_frames:
        block, rate = read_audio(path, position, min(block_frames, info.num_frames - position))
        if block.shape[1] == 0:
            break
        position += block.shape[1]
        yield block, rate
    if position < info.num_frames - _LOSSY_SLACK:
        raise AudioFileError(
            f"{path}: cut short, {position} of {info.num_frames} samples are there; {REMEDY}"
        )


def _read(path: Path, start: int, num_frames: int | None) -> tuple[NDArray[np.float32], int]:
    if path.suffix.lower() not in AV_SUFFIXES:
        try:
            return _soundfile_read(path, start, num_frames)
        except _soundfile_error() as error:
            if not _av_may_help(path):
                raise AudioFileError(_refusal(path, error)) from error
    try:
        return read_with_av(path, start, num_frames)
    except ImportError:
        raise
    except Exception as error:
        raise AudioFileError(_refusal(path, error)) from error


def _soundfile_info(path: Path) -> AudioInfo:
    with _open_soundfile(path) as file:
        _check_declared_size(path, file)
        info = AudioInfo(int(file.samplerate), int(file.channels), int(file.frames))
    return _checked_info(path, info)


def _check_declared_size(path: Path, file: Any) -> None:
    """Refuse a WAV or AIFF that ends before the size in its own header."""
    if file.format not in _SIZED_FORMATS:
        return
    sizes = _DATA_SIZE.search(file.extra_info)
    if sizes and int(sizes[2]) < int(sizes[1]) < _STREAMED_SIZE:
        raise AudioFileError(
            f"{path}: cut short, {sizes[2]} of {sizes[1]} bytes of sound are there; {REMEDY}"
        )


def _soundfile_read(
    path: Path, start: int, num_frames: int | None
) -> tuple[NDArray[np.float32], int]:
    with _open_soundfile(path) as file:
        _check_declared_size(path, file)
        start = min(start, file.frames)
        if start:
            file.seek(start)
        count = file.frames - start if num_frames is None else num_frames
        samples = file.read(min(count, file.frames - start), dtype="float32", always_2d=True)
        return samples, int(file.samplerate)


def _open_soundfile(path: Path) -> Any:
    # Bytes carry any file name on POSIX, also one that is not valid UTF-8.
    return _soundfile().SoundFile(str(path) if os.name == "nt" else os.fsencode(path))


def _soundfile() -> Any:
    try:
        return import_module("soundfile")
    except (ImportError, OSError) as error:
        raise ImportError(
            f"reading sound needs soundfile: pip install soundfile ({error})"
        ) from error


def _soundfile_error() -> type[Exception]:
    error: type[Exception] = _soundfile().SoundFileError
    return error


def _av_may_help(path: Path) -> bool:
    """Whether soundfile cannot open the file at all and PyAV is there to try."""
    try:
        with _open_soundfile(path):
            return False
    except _soundfile_error():
        pass
    try:
        import_module("av")
    except ImportError:
        return False
    return True


def _existing(path: str | Path) -> Path:
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"there is no sound file {path}")
    try:
        size = path.stat().st_size
    except OSError as error:
        raise AudioFileError(f"{path}: cannot be read ({error.strerror}); {REMEDY}") from error
    if size == 0:
        raise AudioFileError(f"{path}: empty file (0 bytes); {REMEDY}")
    return path


def _checked_info(path: Path, info: AudioInfo) -> AudioInfo:
    if info.num_frames <= 0 or info.channels <= 0 or info.sample_rate <= 0:
        raise AudioFileError(f"{path}: holds no samples; {REMEDY}")
    return info


def _refusal(path: Path, error: Exception) -> str:
    reason = " ".join(str(error).split())
    if "System error" in reason or isinstance(error, PermissionError):
        return f"{path}: cannot be read, permission is missing or the disk fails; {REMEDY}"
    unknown = "Format not recognised" in reason or "Invalid data found" in reason
    if unknown or "no sound track" in reason:
        return f"{path}: no sound in it although it is named {path.suffix}; {REMEDY}"
    return f"{path}: corrupt or cut short ({reason.rstrip('.')}); {REMEDY}"
