"""Choosing how long the weights are averaged after the training instead of before it.

How long an average sounds best is not known beforehand, and differs with the guidance. Two means of
short and middling length run along and are saved now and then; from these snapshots the mean of
any length, at any saved step, is put together afterwards.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn

from .checkpoint import save_weights
from .ema import EMA
from .power_function import PowerFunction, mix_profiles

LENGTHS = (0.05, 0.1)
_NAME = re.compile(r"step_(\d{8,})_length_(\d\.\d+)\.safetensors")


class PostHocEMA(nn.Module):
    """Running means of a model over fixed shares of the run so far, and their snapshots.

    Each takes as much memory as the model. Its `state_dict` goes on bit for bit.

    Args:
        model: The model in training; it is deep-copied once for each length.
        lengths: Relative lengths of the means, as shares of the run; two are enough.

    Raises:
        ValueError: A length is out of range, or there is none or one twice.

    Source: Karras et al. 2024, arXiv 2312.02696, section 3.2.

    >>> model = nn.Linear(1, 1)
    >>> means = PostHocEMA(model)
    >>> means.update(model)
    >>> [mean.length for mean in means.decays]
    [0.05, 0.1]
    """

    def __init__(self, model: nn.Module, lengths: Sequence[float] = LENGTHS) -> None:
        if not lengths or len({f"{length:.4f}" for length in lengths}) < len(lengths):
            raise ValueError(f"post-hoc EMA needs one or more different lengths, got {lengths}")
        super().__init__()
        self.decays = tuple(PowerFunction(length) for length in lengths)
        self.means = nn.ModuleList(EMA(model, decay) for decay in self.decays)

    def train(self, mode: bool = True) -> PostHocEMA:
        """Stay in evaluation mode: a mean is never trained."""
        del mode
        super().train(False)
        return self

    @property
    def updates(self) -> int:
        """How often the model's weights were taken in."""
        return int(self._averages()[0].n_averaged)

    def update(self, model: nn.Module) -> None:
        """Take the weights of `model` into the means; call it once after each optimizer step."""
        for mean in self._averages():
            mean.update(model)

    def save_snapshot(self, folder: str | Path, step: int) -> list[Path]:
        """Save every mean as a safetensors file of its own; none is left half written.

        Args:
            folder: Where the snapshots of a run lie; made if need be.
            step: Optimizer steps done.

        Raises:
            OSError: The disk is full or refuses, in one line; earlier snapshots are unharmed.
        """
        saved = []
        for decay, mean in zip(self.decays, self._averages(), strict=True):
            path = Path(folder) / f"step_{step:08d}_length_{decay.length:.4f}.safetensors"
            words = {"updates": str(self.updates), "length": repr(decay.length)}
            saved.append(save_weights(path, mean.module, step=str(step), **words))
        return saved

    def _averages(self) -> list[EMA]:
        return cast(list[EMA], list(self.means))


class Snapshot(NamedTuple):
    """A saved mean: its file, its optimizer step, updates since its start, and its length."""

    path: Path
    step: int
    updates: int
    length: float


class Reconstruction(NamedTuple):
    """A mean put together afterwards.

    Attributes:
        weights: The state dict of the averaged model, on the CPU.
        step: The optimizer step it belongs to.
        snapshots: How many it was made from.
        error: Distance of its profile from the wanted one, relative to its size; above 0.05 more
            snapshots, or a length nearer to the saved ones, would help.
    """

    weights: dict[str, Tensor]
    step: int
    snapshots: int
    error: float


def find_snapshots(folder: str | Path) -> list[Snapshot]:
    """Return the snapshots of a folder, earliest first; none if there is no such folder.

    Raises:
        ValueError: One is damaged.
    """
    paths = sorted(path for path in Path(folder).glob("*") if _NAME.fullmatch(path.name))
    return [_read_header(path) for path in paths]


def drop_snapshots_after(folder: str | Path, step: int) -> None:
    """Remove what a run saved after `step`, from where it goes on, and what is half written."""
    for path in Path(folder).glob("*"):
        match = _NAME.fullmatch(path.name)
        if path.name.endswith(".partial") or (match and int(match[1]) > step):
            path.unlink(missing_ok=True)


def reconstruct_ema(folder: str | Path, length: float, step: int | None = None) -> Reconstruction:
    """Return the weights that a mean of another length would have, at a saved step.

    Files are read one after the other: memory for two models is enough, whatever their number.
    Parameters are mixed in float64; what is the same in all snapshots, and integers, is copied.

    Args:
        folder: The snapshots of one run.
        length: Relative length wanted, above 0 and at most 0.288; good within a factor of two or
            three of the saved lengths (0.05 and 0.1).
        step: The optimizer step, one that was saved; None is the last.

    Raises:
        FileNotFoundError: There is no snapshot.
        ValueError: The length is out of range, the step was not saved, or files are damaged or
            of different models.
    """
    found = find_snapshots(folder)
    if not found:
        raise FileNotFoundError(
            f"there is no EMA snapshot in {folder}: train with train.ema_snapshot_every above 0"
        )
    steps = sorted({snapshot.step for snapshot in found})
    step = steps[-1] if step is None else step
    if step not in steps:
        nearest = min(steps, key=lambda one: abs(one - step))
        raise ValueError(f"no EMA snapshot was saved at step {step}: the nearest is {nearest}")
    end = max(snapshot.updates for snapshot in found if snapshot.step == step)
    used = [snapshot for snapshot in found if snapshot.step <= step]
    mixture = mix_profiles(
        [snapshot.updates for snapshot in used],
        [snapshot.length for snapshot in used],
        end,
        length,
    )
    weights = _mix_files([snapshot.path for snapshot in used], mixture.shares.tolist())
    return Reconstruction(weights, step, len(used), mixture.error)


def _mix_files(paths: list[Path], shares: list[float]) -> dict[str, Tensor]:
    """The sum of the files' tensors times their shares; copies of the last where all agree."""
    newest = _read(paths[-1])
    change = {
        key: torch.zeros_like(_exact(value))
        for key, value in newest.items()
        if value.is_floating_point() or value.is_complex()
    }
    for path, share in zip(paths[:-1], shares[:-1], strict=True):
        tensors = _read(path)
        if {k: v.shape for k, v in tensors.items()} != {k: v.shape for k, v in newest.items()}:
            raise ValueError(
                f"{path} is of another model than {paths[-1].name}: keep the snapshots of one run "
                "in a folder"
            )
        for key, sum_ in change.items():  # the shares sum to 1: add up differences
            sum_ += share * (_exact(tensors[key]) - _exact(newest[key]))
    return {
        key: (_exact(value) + change[key]).to(value.dtype) if key in change else value
        for key, value in newest.items()
    }


def _exact(value: Tensor) -> Tensor:
    return value.to(torch.promote_types(value.dtype, torch.float64))


def _read(path: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise ValueError(f"the EMA snapshot {path} is damaged ({error}): remove it") from error


def _read_header(path: Path) -> Snapshot:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as file:
            words = file.metadata() or {}
        step, updates, length = words["step"], words["updates"], words["length"]
        return Snapshot(path, int(step), int(updates), float(length))
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        raise ValueError(f"the EMA snapshot {path} is damaged ({error}): remove it") from error
