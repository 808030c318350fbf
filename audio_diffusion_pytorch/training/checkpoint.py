"""Checkpoints that survive kill -9 and a full disk: written aside, then renamed."""

from __future__ import annotations

import os
import pickle
import shutil
import zipfile
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from audio_diffusion_pytorch.serialization import model_words

from .safe_write import write_aside

FORMAT = "audio_diffusion_pytorch checkpoint"
LAST, BEST = "last", "best"


def save_checkpoint(path: str | Path, state: Mapping[str, Any]) -> Path:
    """Save tensors and plain values (numbers, words, lists, dicts) to one file.

    Args:
        path: The file, by custom `checkpoints/step_00001000.pt`.
        state: What to keep; no objects of other classes, so that any program can load it safely.

    Raises:
        OSError: The disk is full or refuses, in one line; no earlier file is harmed.
    """
    content = {"format": FORMAT, "torch": str(torch.__version__), **state}
    return write_aside(path, lambda file: torch.save(content, file))


def load_checkpoint(path: str | Path, map_location: torch.device | str = "cpu") -> dict[str, Any]:
    """Load what `save_checkpoint` saved; runs no code from the file.

    Args:
        path: The file.
        map_location: The device the tensors go to.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is damaged or is no checkpoint of this library.
    """
    path = Path(path)
    remedy = "give checkpoints/last.pt of a run, or an earlier checkpoints/step_*.pt"
    if not path.is_file():
        raise FileNotFoundError(f"there is no checkpoint {path}: {remedy}")
    try:
        content = torch.load(path, map_location=map_location, weights_only=True)
    except (RuntimeError, pickle.UnpicklingError, EOFError, zipfile.BadZipFile, KeyError) as error:
        raise ValueError(f"{path} is damaged or is no checkpoint; {remedy}") from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise ValueError(f"{path} is no checkpoint of a training run; {remedy}")
    return content


def load_weights(
    module: nn.Module, state: Mapping[str, Any], source: str | Path = "the checkpoint"
) -> None:
    """Load a state dict into a module, strictly.

    Args:
        module: The module.
        state: Its state dict.
        source: Where it came from, for the message.

    Raises:
        ValueError: The weights are those of another model; says how many differ and the first.
    """
    try:
        module.load_state_dict(dict(state), strict=True)
    except RuntimeError as error:
        raise ValueError(_difference(module.state_dict(), state, source)) from error


def _difference(here: Mapping[str, Any], there: Mapping[str, Any], source: str | Path) -> str:
    missing = [key for key in here if key not in there]
    extra = [key for key in there if key not in here]
    shapes = [
        key
        for key in here
        if key in there
        and isinstance(there[key], Tensor)
        and isinstance(here[key], Tensor)
        and here[key].shape != there[key].shape
    ]
    first = "its values do not fit"
    if shapes:
        key = shapes[0]
        first = f"{key} is {tuple(there[key].shape)} there and {tuple(here[key].shape)} here"
    elif missing:
        first = f"{missing[0]} is only here"
    elif extra:
        first = f"{extra[0]} is only there"
    return (
        f"{source} is from another model: {len(missing)} weights missing, {len(extra)} unknown, "
        f"{len(shapes)} of another shape (first: {first}); build the model with the settings the "
        "checkpoint was trained with, or start a new run"
    )


def save_weights(path: str | Path, module: nn.Module, **metadata: str) -> Path:
    """Save a module's state dict as safetensors, with words beside it.

    For a model that can describe itself the words include what it is made of: `from_pretrained`
    makes it again from the file alone.

    Raises:
        OSError: The disk is full or refuses, in one line; no earlier file is harmed.
    """
    from safetensors.torch import save

    tensors = {
        key: value.detach().cpu().contiguous().clone()
        for key, value in module.state_dict().items()
        if isinstance(value, Tensor)
    }
    words = {**model_words(module), **metadata}
    return write_aside(path, lambda file: file.write(save(tensors, words)))


class CheckpointFolder:
    """The checkpoints of one run: `step_*.pt` (the newest few), `last.pt`, `best.pt` and weights.

    Args:
        folder: The folder; made when the first checkpoint is saved.
        keep: How many step checkpoints stay besides the last and the best.
    """

    def __init__(self, folder: str | Path, keep: int = 2) -> None:
        self.folder = Path(folder)
        self.keep = keep

    @property
    def last(self) -> Path:
        """The newest checkpoint's path."""
        return self.folder / f"{LAST}.pt"

    @property
    def best(self) -> Path:
        """The path of the checkpoint with the lowest validation loss."""
        return self.folder / f"{BEST}.pt"

    def steps(self) -> list[Path]:
        """The step checkpoints, first the one written longest ago."""
        return sorted(self.folder.glob("step_*.pt"), key=lambda path: (path.stat().st_mtime, path))

    def clean(self) -> None:
        """Remove what a killed process left half written."""
        for partial in self.folder.glob(".*.partial"):
            partial.unlink(missing_ok=True)

    def save(
        self, step: int, state: Mapping[str, Any], weights: nn.Module, is_best: bool = False
    ) -> Path:
        """Save a step checkpoint, make it the last (and the best), and drop old ones.

        Args:
            step: Steps finished.
            state: The state to resume from.
            weights: The averaged model, saved as `last.safetensors` (and `best.safetensors`).
            is_best: Whether this is the best checkpoint so far.

        Raises:
            OSError: The disk is full or refuses; no earlier checkpoint is harmed.
        """
        path = save_checkpoint(self.folder / f"step_{step:08d}.pt", state)
        for name in (LAST, BEST) if is_best else (LAST,):
            _copy(path, self.folder / f"{name}.pt")
            save_weights(self.folder / f"{name}.safetensors", weights, step=str(step))
        for old in self.steps()[: -self.keep or None]:
            old.unlink(missing_ok=True)
        return self.last


def _copy(source: Path, target: Path) -> None:
    """Give `target` the content of `source`: a second name where the disk can, else a copy."""
    aside = target.with_name(f".{target.name}.{os.getpid()}.partial")
    aside.unlink(missing_ok=True)
    try:
        os.link(source, aside)
    except OSError:
        with open(source, "rb") as file:
            write_aside(target, lambda out: shutil.copyfileobj(file, out))
        return
    # Renaming onto another name of the same file does nothing, and leaves the first name behind.
    os.replace(aside, target)
    aside.unlink(missing_ok=True)


def load_newest(path: str | Path) -> tuple[Path, dict[str, Any]]:
    """Load the checkpoint meant by a file, a `checkpoints` folder or a run folder.

    Of a folder that is `last.pt`, or, where that is damaged, the newest step checkpoint that is
    not; a printed line says so.

    Returns:
        The file and its content.

    Raises:
        FileNotFoundError: There is none.
        ValueError: The only one is damaged.
    """
    first = find_checkpoint(path)
    earlier = [] if Path(path).is_file() else CheckpointFolder(first.parent).steps()[::-1]
    for candidate, other in pairwise([first, *earlier]):
        content = _load_unless_damaged(candidate, other)
        if content is not None:
            return candidate, content
    only = earlier[-1] if earlier else first
    return only, load_checkpoint(only)


def _load_unless_damaged(path: Path, other: Path) -> dict[str, Any] | None:
    try:
        return load_checkpoint(path)
    except ValueError as error:
        print(f"note: {error}; trying {other.name}", flush=True)
        return None


def find_checkpoint(path: str | Path) -> Path:
    """The checkpoint meant by a file, a `checkpoints` folder or a run folder.

    Raises:
        FileNotFoundError: There is none.
    """
    path = Path(path)
    if path.is_file():
        return path
    for folder in (path, path / "checkpoints"):
        candidates = [folder / f"{LAST}.pt", *reversed(CheckpointFolder(folder).steps())]
        for candidate in candidates:
            if candidate.is_file():
                return candidate
    raise FileNotFoundError(
        f"there is no checkpoint in {path}: the run ended before its first one, or this is no run "
        "folder; start a new run"
    )
