"""Looking through a folder's files once, before training: which can be used, what they hold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from torch import Tensor

from audio_diffusion_pytorch.data.audio_file import AudioInfo
from audio_diffusion_pytorch.data.errors import AudioFileError
from audio_diffusion_pytorch.data.normalize import SILENCE_PEAK, peak
from audio_diffusion_pytorch.data.source import AudioSource, cached_source, open_source

FULL_CHECK_HOURS = 1.0
_UNCOMPRESSED = (".wav", ".flac")


@dataclass
class FoundFile:
    """A usable file of a folder.

    Attributes:
        name: relative to the folder.
        source: the file at the wanted rate and channels.
        original: what the file itself has.
        audio: its whole sound `(c, t)` where that is kept in memory, else None.
        silent: whether it stays below -60 dBFS; None when samples were not looked at.
    """

    name: str
    source: AudioSource
    original: AudioInfo
    audio: Tensor | None = None
    silent: bool | None = None

    @property
    def num_frames(self) -> int:
        """Length in samples at the wanted rate."""
        return self.source.num_frames

    def read(self, start: int, num_frames: int, in_memory: bool) -> Tensor:
        """Samples `start .. start + num_frames` as `(c, t)`; `in_memory` keeps the whole sound."""
        if not in_memory:
            return self.source.read(start, num_frames)
        if self.audio is None:
            self.audio = self.source.read_all()
        return self.audio[:, start : start + num_frames]

    def check(self, keep: bool) -> None:
        """Decode every sample: find what a header hides, measure, and keep the sound if asked."""
        if keep:
            self.audio = self.source.read_all()
        blocks = self.source.blocks() if self.audio is None else [self.audio]
        self.silent = max(map(peak, blocks), default=0.0) < SILENCE_PEAK


@dataclass
class Scan:
    """The usable files of a folder, names and one-line reasons of the others.

    Attributes:
        files: usable.
        bad_files: names and reasons.
        in_memory: whether everything fits into the memory allowed.
        full: whether every sample was looked at.
    """

    files: list[FoundFile]
    bad_files: list[tuple[str, str]] = field(default_factory=list)
    in_memory: bool = False
    full: bool = False


def scan_files(
    root: Path,
    names: Sequence[str],
    sample_rate: int,
    channels: int,
    *,
    check: str,
    bad: str,
    cache: Path | None,
    memory_mb: float,
) -> Scan:
    """Open every file, decode every sample if `check` says so, and sort out the bad ones.

    Raises: AudioFileError for a bad file under `bad="refuse"` or when none can be used; OSError
    when there can be no cache folder, which is not a fault of the files.
    """
    _make_cache(cache)
    scan = Scan([])
    for name in names:
        try:
            scan.files.append(_found(root, name, sample_rate, channels, cache))
        except (AudioFileError, FileNotFoundError, ImportError) as error:  # noqa: PERF203
            scan.bad_files.append((name, str(error)))
    _stop_if_bad(scan, root, len(names), bad)
    size = sum(file.num_frames for file in scan.files) * channels * 4
    scan.in_memory = size <= memory_mb * 1e6
    hours = sum(file.original.duration for file in scan.files) / 3600
    scan.full = check == "full" or (check == "auto" and hours < FULL_CHECK_HOURS)
    if scan.full:
        _check_samples(scan)
        _stop_if_bad(scan, root, len(names), bad)
    return scan


def _make_cache(cache: Path | None) -> None:
    if cache is None:
        return
    try:
        cache.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = error.strerror or error
        raise OSError(
            f"cannot make the cache folder {cache} ({reason}); set data.cache to a folder that can "
            "be written, or leave it out"
        ) from error


def _found(root: Path, name: str, sample_rate: int, channels: int, cache: Path | None) -> FoundFile:
    source = open_source(root / name, sample_rate, channels)
    file = FoundFile(name, source, source.info)
    compressed = source.path.suffix.lower() not in _UNCOMPRESSED
    converted = (source.info.sample_rate, source.info.channels) != (sample_rate, channels)
    if cache is not None and (compressed or converted):
        file.source = cached_source(source, cache)
    return file


def _check_samples(scan: Scan) -> None:
    good = []
    for file in scan.files:
        try:
            file.check(keep=scan.in_memory)
            good.append(file)
        except AudioFileError as error:  # noqa: PERF203
            scan.bad_files.append((file.name, str(error)))
    scan.files = good


def _stop_if_bad(scan: Scan, root: Path, total: int, bad: str) -> None:
    if not scan.bad_files or (bad == "skip" and scan.files):
        return
    _, reason = scan.bad_files[0]
    if len(scan.bad_files) == 1:
        raise AudioFileError(reason)
    count = f"{len(scan.bad_files)} of {total}" if scan.files else f"all {total}"
    raise AudioFileError(f"{count} sound files in {root} cannot be used, the first: {reason}")
