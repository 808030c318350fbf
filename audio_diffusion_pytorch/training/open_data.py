"""From settings to the two data sets of a run: what is trained on and what only judges."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from audio_diffusion_pytorch.data.find import find_audio
from audio_diffusion_pytorch.data.folder import AudioFolder
from audio_diffusion_pytorch.data.labels import LabelTable
from audio_diffusion_pytorch.data.report import without_remedy
from audio_diffusion_pytorch.data.split import split_files

from .config_files import ConfigError
from .overfit import FirstClips

_LOGGER = logging.getLogger(__name__)

SPLIT_NAME = "split.json"


@dataclass
class DataConfig:
    """Which sounds, and how clips are cut from them.

    Attributes:
        path: Folder of recordings, searched with all its subfolders.
        sample_rate: Rate of the clips in Hz; other files are resampled.
        length: Length of a clip in samples, at least 2.
        channels: Channels of a clip; other files are mixed down or doubled.
        hop: Distance of the windows in samples; None: clips at random places.
        crop: "random" places, or the "start" of each file.
        short: A file shorter than a clip: "pad" with zeros at its end, "skip" or "refuse".
        bad: A file that cannot be used: "refuse" (name it and stop) or "skip" (and count it).
        normalize: Level of each clip: left alone, "peak" (-1 dBFS) or "loudness" (-23 LUFS).
        fade: Raised-cosine fade at both ends of each clip in seconds; 0: none.
        labels: A regular expression with named groups searched in the file names, or a CSV or
            JSON manifest with a column `file`; None: no labels.
        label_columns: Which label columns to use; empty: all.
        validation: Share of the files held back, 0..1; they only judge.
        group: Keep files together in the split: "folder", or a regular expression.
        held_back: JSON list of the files held back, in place of a share; by default `split.json`
            in the folder, if it has a list `held_back` of files that are there.
        cache: Folder for resampled copies, made once; None: resample while reading.
        check: "full" decodes every file at the start, "header" does not, "auto" does under 1 h.
    """

    path: str = "data"
    sample_rate: int = 16000
    length: int = 16384
    channels: int = 1
    hop: int | None = None
    crop: Literal["random", "start"] = "random"
    short: Literal["pad", "skip", "refuse"] = "pad"
    bad: Literal["refuse", "skip"] = "refuse"
    normalize: Literal["peak", "loudness"] | None = None
    fade: float = 0.0
    labels: str | None = None
    label_columns: tuple[str, ...] = ()
    validation: float = 0.1
    group: str | None = None
    held_back: str | None = None
    cache: str | None = None
    check: Literal["auto", "header", "full"] = "auto"

    def __post_init__(self) -> None:
        """Refuse numbers that cannot work, before any file is looked at."""
        for key in ("sample_rate", "length", "channels", "hop"):
            value = getattr(self, key)
            least = 2 if key == "length" else 1  # a single sample is no sound
            if value is not None and value < least:
                raise ConfigError(f"data.{key} must be at least {least}, got {value}")
        if not 0 <= self.validation < 1:
            raise ConfigError(f"data.validation must be in 0..1, below 1, got {self.validation}")


def open_data(config: DataConfig, seed: int = 0) -> tuple[AudioFolder, AudioFolder | None]:
    """Open the training set and the held-back set (None if nothing is held back or usable).

    Args:
        config: The settings.
        seed: Of the split and of the random places.

    Raises:
        FileNotFoundError: There is no such folder or no sound in it.
        ValueError: A setting, file or label cannot be used; the message says which and the remedy.
    """
    root, files = find_audio(config.path)
    listed = held_back_list(config, root, files)
    try:
        split = split_files(files, listed or config.validation, seed, config.group)
    except (ValueError, FileNotFoundError) as error:
        if listed is None:
            raise
        remedy = "mend that list, or set data.held_back to another one"
        raise type(error)(f"data.held_back={listed}: {error}; {remedy}") from error
    train = _folder(config, split.train, seed, None)
    if not split.validation:
        return train, None
    try:
        return train, _folder(config, split.validation, seed, train.label_table)
    except ValueError as error:
        if "skip" not in (config.bad, config.short):
            raise
        reason = without_remedy(str(error))
        _LOGGER.warning("nothing is held back for validation, all of it was left out: %s", reason)
        return train, None


def held_back_list(config: DataConfig, root: Path, files: Sequence[str]) -> Path | None:
    """The list of held-back files that decides the split; None where the share does.

    Args:
        config: The settings.
        root: The folder of recordings.
        files: Relative names of the recordings in it.
    """
    if config.held_back:
        return Path(config.held_back)
    path = root / SPLIT_NAME
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None  # no such file, or one that has nothing to do with this
    names = content.get("held_back") if isinstance(content, dict) else None
    here = set(files)
    ours = isinstance(names, list) and any(isinstance(n, str) and n in here for n in names)
    return path if ours else None


def _folder(
    config: DataConfig, files: list[str], seed: int, table: LabelTable | None
) -> AudioFolder:
    return AudioFolder(
        config.path,
        config.sample_rate,
        config.length,
        config.channels,
        hop=config.hop,
        crop=config.crop,
        short=config.short,
        bad=config.bad,
        normalize=config.normalize,
        fade=config.fade,
        labels=config.labels,
        label_columns=config.label_columns or None,
        label_table=table,
        cache=config.cache,
        seed=seed,
        files=files,
        check=config.check,
    )


def clip_batches(
    data: AudioFolder | FirstClips, count: int = 512, batch_size: int = 32
) -> Iterator[Tensor]:
    """Yield audio `(b, c, t)` of up to `count` clips of epoch 0, spread evenly over the data."""
    chosen = [i * len(data) // min(count, len(data)) for i in range(min(count, len(data)))]
    for i in range(0, len(chosen), batch_size):
        yield torch.stack([data[0, index].audio for index in chosen[i : i + batch_size]])
