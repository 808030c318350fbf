"""Looking through a folder's files once, before training: which can be used, and what they hold."""

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
class Scan:
    """The usable files of a folder.

    Attributes:
        names: relative names of the usable files.
        sources: the files behind them, at the wanted rate and channels.
        originals: what the files themselves have.
        audio: their whole sound `(c, t)` where it is kept in memory, else None.
        bad_files: names and one-line reasons of the others.
        silent_files: names of files below -60 dBFS; None when samples were not looked at.
        in_memory: whether everything fits into the memory allowed.
    """

    names: list[str] = field(default_factory=list)
    sources: list[AudioSource] = field(default_factory=list)
    originals: list[AudioInfo] = field(default_factory=list)
    audio: list[Tensor | None] = field(default_factory=list)
    bad_files: list[tuple[str, str]] = field(default_factory=list)
    silent_files: list[str] | None = None
    in_memory: bool = False

    @property
    def hours(self) -> float:
        """Length of the usable files together."""
        return sum(info.duration for info in self.originals) / 3600


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

    Raises: AudioFileError for a bad file under `bad="refuse"` or when none can be used.
    """
    scan = _headers(root, names, sample_rate, channels, cache)
    _stop_if_bad(scan, root, len(names), bad)
    size = sum(source.num_frames for source in scan.sources) * channels * 4
    scan.in_memory = size <= memory_mb * 1e6
    scan.audio = [None] * len(scan.names)
    if check == "full" or (check == "auto" and scan.hours < FULL_CHECK_HOURS):
        scan = _samples(scan)
        _stop_if_bad(scan, root, len(names), bad)
    return scan


def _headers(
    root: Path, names: Sequence[str], sample_rate: int, channels: int, cache: Path | None
) -> Scan:
    scan = Scan()
    for name in names:
        try:
            source = open_source(root / name, sample_rate, channels)
            info = source.info
            if cache is not None and _worth_caching(source):
                source = cached_source(source, cache)
        except (AudioFileError, FileNotFoundError, ImportError) as error:
            scan.bad_files.append((name, str(error)))
            continue
        scan.names.append(name)
        scan.sources.append(source)
        scan.originals.append(info)
    return scan


def _worth_caching(source: AudioSource) -> bool:
    return (
        source.path.suffix.lower() not in _UNCOMPRESSED
        or source.info.sample_rate != source.sample_rate
        or source.info.channels != source.channels
    )


def _samples(headers: Scan) -> Scan:
    """Decode everything: find what headers hide, measure, and keep it if it fits."""
    scan = Scan(bad_files=headers.bad_files, silent_files=[], in_memory=headers.in_memory)
    silent: list[str] = []
    for name, source, info in zip(headers.names, headers.sources, headers.originals, strict=True):
        try:
            audio = source.read_all() if scan.in_memory else None
            level = peak(audio) if audio is not None else max(map(peak, source.blocks()))
        except AudioFileError as error:
            scan.bad_files.append((name, str(error)))
            continue
        if level < SILENCE_PEAK:
            silent.append(name)
        scan.names.append(name)
        scan.sources.append(source)
        scan.originals.append(info)
        scan.audio.append(audio)
    scan.silent_files = silent
    return scan


def _stop_if_bad(scan: Scan, root: Path, total: int, bad: str) -> None:
    if not scan.bad_files or (bad == "skip" and scan.names):
        return
    name, reason = scan.bad_files[0]
    if total == 1 or (len(scan.bad_files) == 1 and scan.names):
        raise AudioFileError(reason)
    count = f"{len(scan.bad_files)} of {total}" if scan.names else f"all {total}"
    raise AudioFileError(
        f"{count} sound files in {root} cannot be used, the first is {name}: {reason}"
    )
