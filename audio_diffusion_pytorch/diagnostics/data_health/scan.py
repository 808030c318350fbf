"""A look into a folder of recordings that takes seconds, however many there are."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import TypeVar

import torch

from audio_diffusion_pytorch.data.audio_file import AudioInfo, audio_info, read_audio
from audio_diffusion_pytorch.data.errors import AudioFileError
from audio_diffusion_pytorch.data.find import find_audio
from audio_diffusion_pytorch.data.libsndfile import read_with_soundfile
from audio_diffusion_pytorch.data.report import without_remedy

from .sounds import SoundFacts, measure_sound

_Entry = TypeVar("_Entry")
_PROBES, _PROBE_BYTES = 4, 1 << 14


@dataclass(frozen=True)
class ScanLimits:
    """How far a folder is looked into; all that is left out is left out evenly.

    Attributes:
        headers: Files whose header is read, at most.
        stretches: Stretches whose samples are read, at most; a few files get several each.
        stretch_seconds: Of each, in s.
        seconds: After which the scan stops, in s, whatever is left: for slow disks.
    """

    headers: int = 4000
    stretches: int = 128
    stretch_seconds: float = 4.0
    seconds: float = 12.0


@dataclass
class FolderScan:
    """What was found in a folder of recordings, read as they are.

    Attributes:
        folder: Where they lie.
        num_files: How many sound files there are.
        headers: By relative name, of the files looked at.
        unreadable: Names and reasons of the files that cannot be read.
        fingerprints: By relative name, of the bytes of the file: equal for copies.
        sounds: What was measured, a few seconds a file.
        stopped: Whether the time was up before all that was meant to be read was.
    """

    folder: str
    num_files: int
    headers: dict[str, AudioInfo] = field(default_factory=dict)
    unreadable: list[tuple[str, str]] = field(default_factory=list)
    fingerprints: dict[str, str] = field(default_factory=dict)
    sounds: list[SoundFacts] = field(default_factory=list)
    stopped: bool = False

    @property
    def heard_files(self) -> int:
        """Files of which samples were read."""
        return len({sound.name for sound in self.sounds})

    @property
    def heard_seconds(self) -> float:
        """Sound that was read, in s."""
        return sum(sound.seconds for sound in self.sounds)


def scan_folder(
    path: str | Path, files: Sequence[str] | None = None, limits: ScanLimits | None = None
) -> FolderScan:
    """Read headers and some seconds of the recordings in a folder, at their own rates.

    The same folder gives the same scan unless the time is up.

    Args:
        path: The folder; with a subfolder `audio` that holds sounds, that one.
        files: Only these files (relative names).
        limits: How far to look.

    Raises:
        FileNotFoundError: No such folder, or no sound file in it.
    """
    limits = limits or ScanLimits()
    deadline = time.monotonic() + limits.seconds
    root, found = find_audio(path)
    names = found if files is None else sorted(files)
    scan = FolderScan(str(root), len(names))
    for name in spread(names, limits.headers):
        if time.monotonic() > deadline:
            scan.stopped = True
            break
        _look(scan, root, name)
    heard = spread(list(scan.headers), limits.stretches)
    per_file = max(1, limits.stretches // max(1, len(heard)))
    for name in heard:
        if time.monotonic() > deadline:
            scan.stopped = True
            break
        _hear(scan, root, name, per_file, limits.stretch_seconds)
    return scan


def spread(entries: Sequence[_Entry], count: int) -> list[_Entry]:
    """Return at most `count` entries in their order, one from each of as many equal parts.

    Where in its part is drawn, always the same: data often repeat themselves every few entries.

    >>> len(spread(range(1000), 10))
    10
    """
    if len(entries) <= count:
        return list(entries)
    random = Random(0)
    total = len(entries)
    return [
        entries[random.randrange(part * total // count, (part + 1) * total // count)]
        for part in range(count)
    ]


def _look(scan: FolderScan, root: Path, name: str) -> None:
    """Read the header, and enough of the bytes to know a copy by."""
    try:
        scan.headers[name] = audio_info(root / name)
        scan.fingerprints[name] = _fingerprint(root / name)
    except (AudioFileError, OSError, ImportError) as error:
        scan.headers.pop(name, None)
        scan.unreadable.append((name, without_remedy(str(error))))


def _fingerprint(path: Path) -> str:
    """The size of a file and some of its bytes, from several places: one may be silent."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        size = file.seek(0, 2)
        digest.update(str(size).encode())
        for probe in range(_PROBES):
            file.seek(max(0, size - _PROBE_BYTES) * probe // (_PROBES - 1))
            digest.update(file.read(_PROBE_BYTES))
    return digest.hexdigest()


def _hear(scan: FolderScan, root: Path, name: str, count: int, seconds: float) -> None:
    """Measure up to `count` stretches, evenly spread over the file."""
    info = scan.headers[name]
    size = min(info.num_frames, max(1, round(seconds * info.sample_rate)))
    count = min(count, -(-info.num_frames // size))
    for place in range(count):
        start = (info.num_frames - size) * (2 * place + 1) // (2 * count)
        try:
            audio = _read(root / name, start, size)
        except (AudioFileError, OSError, ImportError) as error:
            scan.unreadable.append((name, without_remedy(str(error))))
            return
        if audio.numel():
            scan.sounds.append(measure_sound(audio, info.sample_rate, name, start))


def _read(path: Path, start: int, size: int) -> torch.Tensor:
    """A stretch `(c, t)`, also of a file with NaN in it, which data sets refuse."""
    try:
        return read_audio(path, start, size)[0]
    except AudioFileError:
        try:
            audio, _ = read_with_soundfile(path, start, size)
        except Exception:  # whatever a decoder raises: the first error says it better
            audio = torch.zeros(1, 0)
        if bool(torch.isfinite(audio).all()):
            raise
        return audio
