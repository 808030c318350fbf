"""A folder of recordings, of whatever rates and lengths, as a data set of equal clips."""

from __future__ import annotations

import logging
from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate
from pathlib import Path
from random import Random
from typing import Any, Literal

import torch
from torch import Tensor
from torch.utils.data import Dataset

from audio_diffusion_pytorch.data.clip import Clip
from audio_diffusion_pytorch.data.errors import AudioFileError
from audio_diffusion_pytorch.data.find import find_audio
from audio_diffusion_pytorch.data.label_sources import read_labels
from audio_diffusion_pytorch.data.labels import LabelTable
from audio_diffusion_pytorch.data.normalize import fade_edges, normalize_loudness, normalize_peak
from audio_diffusion_pytorch.data.report import DataReport, listing, without_remedy
from audio_diffusion_pytorch.data.scan import FoundFile, Scan, scan_files

_LOGGER = logging.getLogger(__name__)


class AudioFolder(Dataset[Clip]):
    """Clips `(channels, length)` float32 cut from all sound files in a folder and its subfolders.

    Long files give more clips than short ones. With `crop="random"` a file has
    `max(1, duration // length)` of them in an epoch, each from a random place in its own part of
    the file; the place is a pure function of `(seed, epoch, index)`, whatever worker or process
    asks. With `crop="start"` each file gives its beginning. With `hop` the windows begin at 0,
    `hop`, `2 hop`, ...: `1 + (frames - length) // hop` of them; a last window that would run past
    the end is dropped. No window or fade is applied unless `fade` asks for one.

    `dataset[index]` is a clip of epoch 0, `dataset[epoch, index]` one of any epoch (as
    `StreamSampler` asks for). A file shorter than `length` stands at the beginning of its clip,
    zeros follow.

    Only the needed stretch of a file is read. If everything fits into `memory_mb`, the converted
    sounds are kept in memory instead.

    Args:
        path: the folder; if it has a subfolder `audio` with sounds, that one is used.
        sample_rate: of the clips, Hz; other files are resampled (soxr HQ).
        length: of a clip, samples at `sample_rate`.
        channels: of a clip; other files are mixed to their mean and repeated.
        hop: distance of the windows, samples at `sample_rate`; overrides `crop`.
        crop: `"random"` or `"start"`.
        short: files shorter than `length`: `"pad"`, `"skip"` or `"refuse"`.
        bad: files that cannot be used: `"refuse"` or `"skip"`.
        normalize: each clip's level: None leaves it, `"peak"` makes it -1 dBFS, `"loudness"`
            -23 LUFS; silent clips are left.
        fade: raised-cosine fade at both ends of each clip, s.
        labels: regular expression with a group per label, or a CSV or JSON manifest with a column
            `file`; see `read_labels`.
        label_columns: which of the label columns to use; None uses all.
        label_table: a known table (of a checkpoint); None makes one from all files in the folder.
        cache: folder for converted copies of the files, made once.
        seed: of the random places.
        files: only these files (relative names); None takes all.
        check: `"full"` decodes every file now, `"header"` does not, `"auto"` does under one hour.
        memory_mb: how much may be kept in memory, MB (by each worker, if `check` was `"header"`).

    Raises:
        FileNotFoundError: no such folder, no sound file in it, an unknown name in `files`.
        AudioFileError: (a ValueError) a bad file under `bad="refuse"`, or no usable file.
        OSError: the cache folder cannot be made or written.
        ValueError: arguments out of range, short files under `short="refuse"`, labels that give
            no value.
    """

    def __init__(
        self,
        path: str | Path,
        sample_rate: int,
        length: int,
        channels: int = 1,
        *,
        hop: int | None = None,
        crop: Literal["random", "start"] = "random",
        short: Literal["pad", "skip", "refuse"] = "pad",
        bad: Literal["refuse", "skip"] = "refuse",
        normalize: Literal["peak", "loudness"] | None = None,
        fade: float = 0.0,
        labels: str | Path | None = None,
        label_columns: Sequence[str] | None = None,
        label_table: LabelTable | None = None,
        cache: str | Path | None = None,
        seed: int = 0,
        files: Sequence[str] | None = None,
        check: Literal["auto", "header", "full"] = "auto",
        memory_mb: float = 512,
    ) -> None:
        _check_positive("sample_rate", sample_rate)
        _check_positive("length", length)
        _check_positive("channels", channels)
        _check_positive("hop", 1 if hop is None else hop)
        _check_choice("crop", crop, ("random", "start"))
        _check_choice("short", short, ("pad", "skip", "refuse"))
        _check_choice("bad", bad, ("refuse", "skip"))
        _check_choice("normalize", normalize, (None, "peak", "loudness"))
        _check_choice("check", check, ("auto", "header", "full"))
        if fade < 0:
            raise ValueError(f"fade must be at least 0 s, got {fade}")
        self.sample_rate, self.length, self.channels = sample_rate, length, channels
        self.hop, self.crop, self.bad, self.seed = hop, crop, bad, seed
        self.normalize, self.fade = normalize, fade
        self.root, found = find_audio(path)
        scan = scan_files(
            self.root,
            found if files is None else _chosen(self.root, found, files),
            sample_rate,
            channels,
            check=check,
            bad=bad,
            cache=None if cache is None else Path(cache),
            memory_mb=memory_mb,
        )
        self.label_table, values = _label_values(
            labels, self.root, found, label_columns, label_table
        )
        short_files = [file.name for file in scan.files if file.num_frames < length]
        self._files = _kept(self.root, scan.files, short_files, short, length)
        self._labels = [self.label_table.encode(values.get(name, {})) for name in self.files]
        self._ends = list(accumulate(self._num_slots(file.num_frames) for file in self._files))
        self._in_memory = scan.in_memory
        self._warned: set[str] = set()
        unlabelled = None if labels is None else sum(name not in values for name in self.files)
        self.report = self._report(scan, short_files, short, unlabelled)

    @property
    def files(self) -> list[str]:
        """Relative names of the files the clips come from."""
        return [file.name for file in self._files]

    @property
    def file_labels(self) -> dict[str, Tensor]:
        """The class indices `(k,)` of each file, by its relative name."""
        return dict(zip(self.files, self._labels, strict=True))

    def __len__(self) -> int:
        return self._ends[-1]

    def __getitem__(self, item: int | tuple[int, int]) -> Clip:
        epoch, index = item if isinstance(item, tuple) else (0, item)
        if not -len(self) <= index < len(self):
            raise IndexError(f"clip {index} of {len(self)}")
        index %= len(self)
        if self.bad == "refuse":
            return self._clip(epoch, index)
        return self._clip_or_next(epoch, index)

    def __getstate__(self) -> dict[str, Any]:
        # A worker process that is not forked reads the files anew instead of copying them all.
        return {**self.__dict__, "_files": [replace(file, audio=None) for file in self._files]}

    def _num_slots(self, frames: int) -> int:
        if frames <= self.length:
            return 1
        if self.hop is not None:
            return 1 + (frames - self.length) // self.hop
        return 1 if self.crop == "start" else max(1, frames // self.length)

    def _clip(self, epoch: int, index: int) -> Clip:
        file = bisect_right(self._ends, index)
        first = self._ends[file - 1] if file else 0
        start = self._start(epoch, index, file, index - first, self._ends[file] - first)
        audio = self._files[file].read(start, self.length, self._in_memory)
        if self.normalize == "peak":
            audio = normalize_peak(audio)
        elif self.normalize == "loudness":
            audio = normalize_loudness(audio, self.sample_rate)
        audio = fade_edges(audio, round(self.fade * self.sample_rate))
        clip = torch.zeros(self.channels, self.length)
        clip[:, : audio.shape[1]] = audio
        return Clip(clip, self._labels[file].clone(), f"{self._files[file].name}@{start}")

    def _start(self, epoch: int, index: int, file: int, slot: int, num_slots: int) -> int:
        places = self._files[file].num_frames - self.length + 1
        if places <= 1:
            return 0
        if self.hop is not None:
            return slot * self.hop
        if self.crop == "start":
            return 0
        # Each slot draws from its own part of the file: no clip twice in an epoch, all covered.
        lower, upper = places * slot // num_slots, places * (slot + 1) // num_slots
        draw = Random(f"{self.seed}/{epoch}/{index}").random()
        return lower + int(draw * (upper - lower))

    def _clip_or_next(self, epoch: int, index: int) -> Clip:
        """A clip, or the first of the next file that is good, if one turns out bad only now."""
        tried = index
        for _ in self._files:
            try:
                return self._clip(epoch, tried)
            except AudioFileError as error:  # noqa: PERF203
                file = bisect_right(self._ends, tried)
                tried = self._ends[file] % len(self)
                if self._files[file].name not in self._warned:
                    self._warned.add(self._files[file].name)
                    self.report.bad_files.append((self._files[file].name, str(error)))
                    reason = without_remedy(str(error))
                    _LOGGER.warning("%s; clips of the next file take its place", reason)
        return self._clip(epoch, tried)

    def _report(
        self, scan: Scan, short_files: list[str], short: str, unlabelled: int | None
    ) -> DataReport:
        originals = [file.original for file in self._files]
        return DataReport(
            folder=str(self.root),
            num_files=len(self._files),
            hours=sum(info.duration for info in originals) / 3600,
            num_items=len(self),
            length=self.length,
            sample_rate=self.sample_rate,
            sample_rates=dict(Counter(info.sample_rate for info in originals)),
            channels=dict(Counter(info.channels for info in originals)),
            short_files=short_files,
            short=short,
            bad_files=scan.bad_files,
            silent_files=[f.name for f in self._files if f.silent] if scan.full else None,
            unlabelled=unlabelled,
            in_memory=self._in_memory,
        )


def _check_positive(name: str, number: int) -> None:
    if number < 1:
        raise ValueError(f"{name} must be at least 1, got {number}")


def _check_choice(name: str, value: object, choices: tuple[object, ...]) -> None:
    if value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(map(str, choices))}, got {value}")


def _chosen(root: Path, found: Sequence[str], files: Sequence[str]) -> list[str]:
    if not files:
        raise ValueError(f"files names none of the {len(found)} sound files in {root}")
    missing = sorted(set(files) - set(found))
    if missing:
        raise FileNotFoundError(f"not in {root}: {listing(missing)}")
    return sorted(set(files))


def _label_values(
    labels: str | Path | None,
    root: Path,
    found: Sequence[str],
    columns: Sequence[str] | None,
    table: LabelTable | None,
) -> tuple[LabelTable, dict[str, dict[str, object]]]:
    if labels is None:
        return table or LabelTable(), {}
    if columns is None and table is not None:
        columns = table.columns
    # The vocabulary comes from all files, so that a training and a validation part share it.
    names, values = read_labels(labels, root, found, columns)
    if table is None:
        seen = {name: [row.get(name) for row in values.values()] for name in names}
        try:
            table = LabelTable.from_values(seen)
        except ValueError as error:
            raise ValueError(f"data.labels {labels}: {error}") from error
    return table, values


def _kept(
    root: Path, files: list[FoundFile], short_files: list[str], short: str, length: int
) -> list[FoundFile]:
    if short_files and short == "refuse":
        raise ValueError(
            f"{root}: shorter than data.length={length}: {listing(short_files)}; "
            "set data.short=pad or skip, or a smaller data.length"
        )
    if short != "skip":
        return files
    if len(short_files) == len(files):
        raise ValueError(
            f"{root}: all {len(files)} files are shorter than data.length={length}; "
            "set data.short=pad or a smaller data.length"
        )
    return [file for file in files if file.num_frames >= length]
