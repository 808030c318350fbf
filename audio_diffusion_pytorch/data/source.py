"""One sound file heard at the wanted sample rate and number of channels."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from math import ceil, gcd
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from audio_diffusion_pytorch.data.audio_file import (
    AudioInfo,
    audio_info,
    check_complete,
    read_audio,
    read_blocks,
)

# soxr's HQ filter reaches about 128 samples of the lower rate to each side: twice that is enough.
_MARGIN = 256


def mix_channels(audio: Tensor, channels: int) -> Tensor:
    """`(c, t)` to `(channels, t)`: kept if equal, else the mean of all, repeated.

    >>> mix_channels(torch.tensor([[1.0], [3.0]]), 1)
    tensor([[2.]])
    """
    if audio.shape[0] == channels:
        return audio
    return audio.mean(dim=0, keepdim=True).expand(channels, -1)


def resample(audio: Tensor, rate_in: int, rate_out: int) -> Tensor:
    """`(c, t)` at `rate_in` Hz to `(c, round(t * rate_out / rate_in))` by soxr, quality HQ."""
    if rate_in == rate_out:
        return audio
    samples = audio.T.contiguous().numpy()
    result = _soxr().resample(samples, rate_in, rate_out, quality="HQ")
    wanted = resampled_frames(audio.shape[1], rate_in, rate_out)
    return _at_length(torch.from_numpy(result).T, wanted)


def resampled_frames(num_frames: int, rate_in: int, rate_out: int) -> int:
    """How many samples `num_frames` become at another rate (Hz): the nearest whole number."""
    return (2 * num_frames * rate_out + rate_in) // (2 * rate_in)


@dataclass(frozen=True)
class AudioSource:
    """A file read as if it had `sample_rate` Hz and `channels` channels.

    Attributes:
        path: where the samples are.
        info: what the file itself has.
        sample_rate: rate of everything returned, Hz.
        channels: channels of everything returned.
    """

    path: Path
    info: AudioInfo
    sample_rate: int
    channels: int

    @property
    def num_frames(self) -> int:
        """Length in samples at `sample_rate`."""
        return resampled_frames(self.info.num_frames, self.info.sample_rate, self.sample_rate)

    def read(self, start: int, num_frames: int) -> Tensor:
        """Samples `start .. start + num_frames` as `(channels, t)`, shorter at the file's end.

        Only this stretch and the reach of the resampling filter are decoded.
        """
        rate_in, rate_out = self.info.sample_rate, self.sample_rate
        if rate_in == rate_out:
            return self._read_file(start, num_frames)
        # Input and output grids meet every `step_in` = `step_out` samples: begin at such a point.
        common = gcd(rate_in, rate_out)
        step_in, step_out = rate_in // common, rate_out // common
        margin = ceil(_MARGIN * max(1.0, rate_out / rate_in))
        meeting = max(0, (start - margin) // step_out)
        first = meeting * step_in
        last = ceil((start + num_frames + margin) * rate_in / rate_out)
        audio = self._read_file(first, last - first)
        offset = start - meeting * step_out
        audio = resample(audio, rate_in, rate_out)[:, offset : offset + num_frames]
        return audio[:, : max(0, self.num_frames - start)]

    def _read_file(self, start: int, num_frames: int) -> Tensor:
        """A stretch at the file's own rate, complete as far as the header says."""
        audio, _ = read_audio(self.path, start, num_frames)
        wanted = min(num_frames, self.info.num_frames - start)
        check_complete(self.path, audio.shape[1], wanted)
        return mix_channels(audio, self.channels)

    def blocks(self) -> Iterator[Tensor]:
        """The whole file as consecutive `(channels, t)` blocks, resampled in one stream."""
        rate_in, rate_out = self.info.sample_rate, self.sample_rate
        if rate_in == rate_out:
            for audio, _ in read_blocks(self.path):
                yield mix_channels(audio, self.channels)
            return
        stream = _soxr().ResampleStream(
            rate_in, rate_out, self.channels, dtype="float32", quality="HQ"
        )
        for audio, _ in read_blocks(self.path):
            samples = mix_channels(audio, self.channels).T.contiguous().numpy()
            yield torch.from_numpy(stream.resample_chunk(samples)).T
        rest = stream.resample_chunk(torch.zeros(0, self.channels).numpy(), last=True)
        yield torch.from_numpy(rest).T

    def read_all(self) -> Tensor:
        """The whole file as `(channels, num_frames)`; checks every sample on the way."""
        audio = torch.cat([torch.zeros(self.channels, 0), *self.blocks()], dim=1)
        return _at_length(audio, self.num_frames)


def open_source(path: Path, sample_rate: int, channels: int) -> AudioSource:
    """The file at `path` as a source; raises what `audio_info` raises."""
    return AudioSource(path, audio_info(path), sample_rate, channels)


def read_recording(path: str | Path, sample_rate: int, channels: int) -> Tensor:
    """A whole sound file as `(channels, t)` float32 at `sample_rate` Hz.

    Resampled by soxr and mixed as clips of `AudioFolder` are; raises what `read_audio` raises.
    """
    return open_source(Path(path), sample_rate, channels).read_all()


def cached_source(source: AudioSource, folder: Path) -> AudioSource:
    """The same sound, resampled once into a float WAV in `folder` and read from there.

    The copy's name follows the original's path, size and time of change, the rate and the
    channels, so a changed file gets a new copy. It is written aside and renamed: processes that
    make the same copy at once do not harm each other.
    """
    stat = source.path.stat()
    key = "/".join(
        str(part)
        for part in (
            source.path.resolve(), stat.st_size, stat.st_mtime_ns, source.sample_rate,
            source.channels,
        )
    )  # fmt: skip
    digest = hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()[:24]
    copy = folder / f"{digest}.wav"
    if not copy.exists():
        folder.mkdir(parents=True, exist_ok=True)
        _write_copy(source, copy)
    return open_source(copy, source.sample_rate, source.channels)


def _write_copy(source: AudioSource, copy: Path) -> None:
    soundfile = import_module("soundfile")
    aside = copy.with_name(f".{copy.stem}.{os.getpid()}.part")
    size = source.num_frames * source.channels * 4
    try:
        with soundfile.SoundFile(
            str(aside), "w", source.sample_rate, source.channels, "FLOAT",
            format="RF64" if size > 0xF0000000 else "WAV",
        ) as file:  # fmt: skip
            left = source.num_frames
            for block in source.blocks():
                file.write(block[:, :left].T.contiguous().numpy())
                left -= min(left, block.shape[1])
            if left:
                file.write(torch.zeros(left, source.channels).numpy())
        os.replace(aside, copy)
    except soundfile.SoundFileError as error:
        raise OSError(
            f"cannot write the cache file {aside} ({error}); free some space or change data.cache"
        ) from error
    finally:
        aside.unlink(missing_ok=True)


def _at_length(audio: Tensor, num_frames: int) -> Tensor:
    missing = num_frames - audio.shape[1]
    if missing > 0:
        return torch.nn.functional.pad(audio, (0, missing))
    return audio[:, :num_frames]


def _soxr() -> Any:
    try:
        return import_module("soxr")
    except ImportError as error:
        raise ImportError("changing the sample rate needs soxr: pip install soxr") from error
