"""Where a run writes what it sees: a line file and TensorBoard."""

from __future__ import annotations

import contextlib
import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TextIO, runtime_checkable

import torch
from torch import Tensor

from audio_diffusion_pytorch.diagnostics.files import write_aside

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Scalars = dict[str, tuple[list[int], list[float]]]
"""By name, the steps and the values."""


class Logger(Protocol):
    """A place that a run writes to. `step` counts optimiser steps; names may hold `/` to group."""

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Numbers of one step."""

    def audio(self, step: int, name: str, audio: Tensor, sample_rate: int) -> None:
        """One sound `(c, t)` in -1..1, `sample_rate` in Hz."""

    def image(self, step: int, name: str, image: NDArray[np.uint8]) -> None:
        """One picture `(h, w, 3)`, uint8."""

    def text(self, step: int, name: str, text: str) -> None:
        """A piece of text."""

    def close(self) -> None:
        """Writes what is left; the logger is not used after it."""


@runtime_checkable
class Resumable(Protocol):
    """A logger that can forget what came after the step from which a run goes on."""

    def resume(self, step: int) -> None:
        """Drops everything after `step`."""


class JSONLinesLogger:
    """Scalars as one JSON object a line, `{"step": 10, "loss": 0.5}`; other things are left out.

    Each line is on its way to the disk when `scalars` returns, so `kill -9` costs at most a
    half-written last line, which the next start repairs. Values are written with all their digits;
    those that are not finite as `NaN`, `Infinity` and `-Infinity`.

    Args:
        path: the file, appended to; its folder is made if missing.

    Raises:
        OSError: the file cannot be written.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._file: TextIO | None = None
        self._repair()

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Appends a line.

        Raises:
            ValueError: a value is named "step".
            OSError: the line cannot be written.
        """
        if "step" in values:
            raise ValueError("a scalar cannot be named 'step', which names the line; rename it")
        line = {"step": int(step), **{name: float(value) for name, value in values.items()}}
        try:
            if self._file is None:
                self._file = open(self.path, "a", encoding="utf-8", newline="\n")  # noqa: SIM115
            self._file.write(json.dumps(line, ensure_ascii=False) + "\n")
            self._file.flush()
        except OSError as error:  # the system does not say which file a full disk refused
            raise OSError(error.errno, error.strerror, str(self.path)) from error

    def audio(self, step: int, name: str, audio: Tensor, sample_rate: int) -> None:
        """Not kept: the file holds numbers."""

    def image(self, step: int, name: str, image: NDArray[np.uint8]) -> None:
        """Not kept: the file holds numbers."""

    def text(self, step: int, name: str, text: str) -> None:
        """Not kept: the file holds numbers."""

    def resume(self, step: int) -> None:
        """Drops the lines after `step`, which a resumed run writes anew."""
        self.close()
        if not self.path.exists():
            return
        kept = [line for line, values in _lines(self.path) if values["step"] <= step]
        write_aside(self.path, "".join(f"{line}\n" for line in kept))

    def close(self) -> None:
        """Closes the file; a later call of `scalars` opens it again."""
        if self._file is not None:
            with contextlib.suppress(OSError):  # a full disk has been told of by `scalars`
                self._file.close()
            self._file = None

    def _repair(self) -> None:
        """Cuts a half-written last line, so that the next one starts on its own."""
        if not self.path.exists():
            return
        data = self.path.read_bytes()
        if data and not data.endswith(b"\n"):
            os.truncate(self.path, data.rfind(b"\n") + 1)


class TensorBoardLogger:
    """Scalars, sounds with their spectrograms, pictures and text as TensorBoard event files.

    Args:
        folder: where the event files go, such as `logs/` of a run.

    Raises:
        ImportError: tensorboard is missing (extra `[train]`).
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self._writer = self._open(None)

    def _open(self, purge_step: int | None) -> Any:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            raise ImportError(
                'TensorBoard logs need tensorboard: pip install "audio-diffusion-pytorch[train]"'
            ) from None
        return SummaryWriter(str(self.folder), purge_step=purge_step)

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Adds each value to the curve of its name; TensorBoard keeps it as float32."""
        for name, value in values.items():
            self._writer.add_scalar(name, float(value), step)
        self._writer.flush()

    def audio(self, step: int, name: str, audio: Tensor, sample_rate: int) -> None:
        """Adds a sound (stereo as two, the board plays one channel) and its spectrogram.

        Raises:
            ValueError: `audio` is not one sound `(c, t)`.
        """
        from audio_diffusion_pytorch.diagnostics.plots import as_audio, spectrogram_image

        sound = as_audio(audio)
        playable = torch.nan_to_num(sound, nan=0.0, posinf=0.0, neginf=0.0).clamp(-1, 1)
        for index, channel in enumerate(playable):
            tag = name if len(playable) == 1 else f"{name}/channel_{index + 1}"
            self._writer.add_audio(tag, channel[None], step, sample_rate=sample_rate)
        self.image(step, f"{name}/spectrogram", spectrogram_image(sound, sample_rate))

    def image(self, step: int, name: str, image: NDArray[np.uint8]) -> None:
        """Adds a picture `(h, w, 3)`."""
        self._writer.add_image(name, image, step, dataformats="HWC")
        self._writer.flush()

    def text(self, step: int, name: str, text: str) -> None:
        """Adds a text, shown as Markdown."""
        self._writer.add_text(name, text, step)
        self._writer.flush()

    def resume(self, step: int) -> None:
        """Starts a new event file that makes the board forget what came after `step`."""
        self._writer.close()
        self._writer = self._open(step + 1)

    def close(self) -> None:
        """Writes what is left."""
        self._writer.close()


def read_scalars(path: str | Path) -> Scalars:
    """Reads what `JSONLinesLogger` wrote; a half-written last line is left out.

    Returns:
        By name, in order of first appearance, the steps and the values.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: a line before the last is not a JSON object with a step.
    """
    curves: Scalars = {}
    for _, values in _lines(Path(path)):
        step = values.pop("step")
        for name, value in values.items():
            steps, numbers = curves.setdefault(name, ([], []))
            steps.append(step)
            numbers.append(math.nan if value is None else float(value))
    return curves


def _lines(path: Path) -> list[tuple[str, dict[str, Any]]]:
    """The whole lines of a file with what they hold."""
    if not path.exists():
        raise FileNotFoundError(f"no scalars in '{path}': the run has not logged yet")
    lines = path.read_text(encoding="utf-8", errors="replace").split("\n")[:-1]
    found = []
    for number, line in enumerate(lines, start=1):
        try:
            values = json.loads(line)
            values["step"] = int(values["step"])
        except (ValueError, TypeError, KeyError):
            raise ValueError(f"'{path}', line {number}: expected an object with a step") from None
        found.append((line, values))
    return found
