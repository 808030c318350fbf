"""Which number format to train in: measured once, then kept for the whole run."""

from __future__ import annotations

import statistics
import time
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Literal

import torch

PrecisionName = Literal["fp32", "bf16", "fp16"]
WORTH_IT = 1.5
"""How many times faster a bf16 matrix product must be for "auto" to choose bf16."""


@dataclass(frozen=True)
class Precision:
    """The chosen format of the matrix products; weights and optimizer stay float32.

    Attributes:
        name: "fp32", "bf16" or "fp16".
        reason: Why, in words, with the measured times.
    """

    name: PrecisionName
    reason: str = ""

    def autocast(self, device: torch.device) -> AbstractContextManager[None]:
        """The context in which forward passes run."""
        dtype = torch.float16 if self.name == "fp16" else torch.bfloat16
        return torch.autocast(device.type, dtype=dtype, enabled=self.name != "fp32")

    def scaler(self, device: torch.device) -> torch.amp.GradScaler:
        """The loss scaler: at work for fp16 only, otherwise it passes everything through."""
        return torch.amp.GradScaler(device.type, enabled=self.name == "fp16")


def _synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def _seconds(left: torch.Tensor, right: torch.Tensor, limit: float, repeats: int = 7) -> float:
    """The median time of one product, in seconds; stops early once `limit` seconds are spent."""
    times: list[float] = []
    started = time.perf_counter()
    for repeat in range(repeats + 1):
        begin = time.perf_counter()
        torch.mm(left, right)
        _synchronize(left.device)
        if repeat > 0 or time.perf_counter() - started > limit:
            times.append(time.perf_counter() - begin)
        if time.perf_counter() - started > limit:
            break
    return statistics.median(times)


def check_precision(wanted: str, device: torch.device) -> None:
    """Refuse what `device` cannot do, before a run folder is made or changed.

    Raises:
        ValueError: fp16 was asked for on a device other than CUDA.
    """
    if wanted == "fp16" and device.type != "cuda":
        raise ValueError(
            f"train.precision=fp16 needs a CUDA device, got {device}; use auto, bf16 or fp32"
        )


def choose_precision(
    wanted: Literal["auto", "fp32", "bf16", "fp16"], device: torch.device
) -> Precision:
    """The precision to train in.

    "auto" times one float32 and one bfloat16 matrix product on `device` (less than 0.3 s) and
    takes bf16 where it is at least 1.5 times faster.

    Args:
        wanted: "auto" or a format.
        device: Where the training runs.

    Returns:
        The choice and its reason; store it, the next measurement may differ.

    Raises:
        ValueError: fp16 was asked for on a device other than CUDA, or the word is unknown.
    """
    check_precision(wanted, device)
    if wanted == "fp32" or wanted == "bf16" or wanted == "fp16":
        return Precision(wanted, "as asked")
    if wanted != "auto":
        raise ValueError(f"train.precision must be auto, fp32, bf16 or fp16, got {wanted!r}")
    size = 2048 if device.type == "cuda" else 512
    generator = torch.Generator().manual_seed(0)
    left, right = (torch.randn(size, size, generator=generator).to(device) for _ in range(2))
    full = _seconds(left, right, limit=0.1)
    try:
        half = _seconds(left.bfloat16(), right.bfloat16(), limit=0.1)
    except RuntimeError:
        return Precision("fp32", f"{device.type} has no bf16 matrix product")
    measured = (
        f"a {size} x {size} product takes {1e3 * full:.2f} ms in fp32, {1e3 * half:.2f} in bf16"
    )
    return Precision("bf16" if half * WORTH_IT <= full else "fp32", measured)
