"""Sample-exact reading of M4A, AAC, MP4 and WMA through PyAV (the extra `[m4a]`)."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

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


def read_with_av(path: Path, start: int = 0, num_frames: int | None = None) -> tuple[Tensor, int]:
    """Samples `start .. start + num_frames` as `(c, t)` and the rate; fewer where the file ends.

    MP4 files are sought: decoding begins a quarter second early and the time stamps say which
    samples to keep. Other containers have clocks coarser than a sample, or none, so they are
    decoded from the beginning. A stretch equals the same slice of the whole file, but for AAC's
    noise substitution: in bands that an encoder marked as noise, the decoder draws its own.
    """
    with import_av(path).open(str(path)) as container:
        stream = _audio_stream(container)
        rate = int(stream.rate)
        total = _header_frames(container, stream)
        stop = _stop(start, num_frames, total)
        seek = total is not None and start > PRE_ROLL_SECONDS * rate
        if seek:
            target = int((start / rate - PRE_ROLL_SECONDS) / stream.time_base)
            container.seek(target + (stream.start_time or 0), stream=stream)
        kept = [torch.zeros(int(stream.channels), 0)]
        for position, audio in _decode(container, stream, exact=seek):
            if stop is not None and position >= stop:
                break
            upper = None if stop is None else stop - position
            kept.append(audio[:, max(0, start - position) : upper])
    return torch.cat(kept, dim=1), rate


def blocks_with_av(path: Path, block_frames: int) -> Iterator[tuple[Tensor, int]]:
    """The whole file in one pass, as blocks `(c, t)` of about `block_frames`, and the rate."""
    with import_av(path).open(str(path)) as container:
        stream = _audio_stream(container)
        stop = _header_frames(container, stream)
        waiting: list[Tensor] = []
        size = 0
        for position, audio in _decode(container, stream, exact=False):
            waiting.append(audio if stop is None else audio[:, : max(0, stop - position)])
            size += waiting[-1].shape[1]
            if size >= block_frames:
                yield torch.cat(waiting, dim=1), int(stream.rate)
                waiting, size = [], 0
        if waiting:
            yield torch.cat(waiting, dim=1), int(stream.rate)


def info_with_av(path: Path) -> tuple[int, int, int]:
    """Sample rate in Hz, channels, length in samples (decoded to count where no header says)."""
    with import_av(path).open(str(path)) as container:
        stream = _audio_stream(container)
        rate, channels = int(stream.rate), int(stream.channels)
        total = _header_frames(container, stream)
        if total is None:
            total = sum(audio.shape[1] for _, audio in _decode(container, stream, exact=False))
    return rate, channels, total


def _audio_stream(container: Any) -> Any:
    if not container.streams.audio:
        raise ValueError("no sound track in it")
    return container.streams.audio[0]


def _header_frames(container: Any, stream: Any) -> int | None:
    """The length an MP4 header gives, encoder padding left out; None in other containers."""
    if "mp4" not in container.format.name or stream.duration is None:
        return None
    seconds = float(stream.duration * stream.time_base)
    return round(seconds * int(stream.rate))


def _stop(start: int, num_frames: int | None, total: int | None) -> int | None:
    wanted = None if num_frames is None else start + num_frames
    known = [stop for stop in (wanted, total) if stop is not None]
    return min(known) if known else None


def _decode(container: Any, stream: Any, *, exact: bool) -> Iterator[tuple[int, Tensor]]:
    """First sample and samples `(c, t)` of each frame; by time stamps if `exact`, else counted."""
    position = 0
    first_pts = stream.start_time or 0
    for frame in container.decode(stream):
        if exact and frame.pts is not None:
            position = round((frame.pts - first_pts) * frame.time_base * stream.rate)
        audio = _float_samples(frame)
        yield position, audio
        position += audio.shape[1]


def _float_samples(frame: Any) -> Tensor:
    raw = torch.from_numpy(frame.to_ndarray())
    if not frame.format.is_planar:
        raw = raw.reshape(-1, len(frame.layout.channels)).T
    if raw.is_floating_point():
        return raw.float().clone()
    if raw.dtype == torch.uint8:
        return (raw.float() - 128) / 128
    return raw.float() / 2.0 ** (8 * raw.element_size() - 1)
