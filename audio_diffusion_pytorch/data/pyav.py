"""Sample-exact reading of M4A, AAC, MP4 and WMA through PyAV (the extra `[m4a]`)."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

PRE_ROLL_SECONDS = 0.25  # a decoder needs some frames before its output is right


def import_av(path: Path) -> Any:
    """The `av` module. Raises: ImportError that names the extra and the file."""
    try:
        return import_module("av")
    except ImportError as error:
        raise ImportError(
            f"{path} needs PyAV to be read: pip install 'audio-diffusion-pytorch[m4a]', "
            "or convert the file to FLAC"
        ) from error


def read_with_av(
    path: Path, start: int = 0, num_frames: int | None = None
) -> tuple[NDArray[np.float32], int]:
    """Samples `start .. start + num_frames` as `(t, c)` and the rate; fewer where the file ends.

    MP4 files are sought: decoding begins a quarter second early and the time stamps say which
    samples to keep. Other containers have clocks coarser than a sample, or none, so they are
    decoded from the beginning.
    """
    av = import_av(path)
    with av.open(str(path)) as container:
        stream = _audio_stream(container)
        rate = int(stream.rate)
        total = _header_frames(container, stream)
        stop = _stop(start, num_frames, total)
        seek = total is not None and start > PRE_ROLL_SECONDS * rate
        if seek:
            target = int((start / rate - PRE_ROLL_SECONDS) / stream.time_base)
            container.seek(target + (stream.start_time or 0), stream=stream)
        kept: list[NDArray[np.float32]] = []
        for position, samples in _decode(container, stream, rate, exact=seek):
            if stop is not None and position >= stop:
                break
            upper = None if stop is None else stop - position
            kept.append(samples[max(0, start - position) : upper])
        channels = int(stream.channels)
    empty = np.zeros((0, channels), dtype=np.float32)
    return np.concatenate([empty, *kept]), rate


def info_with_av(path: Path) -> tuple[int, int, int]:
    """Sample rate in Hz, channels, length in samples (decoded to count where no header says)."""
    av = import_av(path)
    with av.open(str(path)) as container:
        stream = _audio_stream(container)
        rate, channels = int(stream.rate), int(stream.channels)
        total = _header_frames(container, stream)
        if total is None:
            total = sum(len(s) for _, s in _decode(container, stream, rate, exact=False))
    return rate, channels, total


def _audio_stream(container: Any) -> Any:
    if not container.streams.audio:
        raise ValueError("no sound track in it")
    return container.streams.audio[0]


def _header_frames(container: Any, stream: Any) -> int | None:
    if "mp4" not in container.format.name or stream.duration is None:
        return None
    return round(stream.duration * stream.time_base * stream.rate)


def _stop(start: int, num_frames: int | None, total: int | None) -> int | None:
    wanted = None if num_frames is None else start + num_frames
    known = [stop for stop in (wanted, total) if stop is not None]
    return min(known) if known else None


def _decode(
    container: Any, stream: Any, rate: int, *, exact: bool
) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """First sample and samples `(t, c)` of each frame; by time stamps if `exact`, else counted."""
    position = 0
    first_pts = stream.start_time or 0
    for frame in container.decode(stream):
        if exact and frame.pts is not None:
            position = round((frame.pts - first_pts) * frame.time_base * rate)
        samples = _float_samples(frame)
        yield position, samples
        position += len(samples)


def _float_samples(frame: Any) -> NDArray[np.float32]:
    raw = frame.to_ndarray()
    channels = len(frame.layout.channels)
    raw = raw.T if frame.format.is_planar else raw.reshape(-1, channels)
    if raw.dtype.kind == "f":
        return np.ascontiguousarray(raw, dtype=np.float32)
    if raw.dtype == np.uint8:
        return (raw.astype(np.float32) - 128) / 128
    return raw.astype(np.float32) / np.float32(2.0 ** (8 * raw.dtype.itemsize - 1))
