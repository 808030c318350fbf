"""What a pass through a model takes: seconds, and memory beside the weights."""

from __future__ import annotations

import statistics
import time
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

REPEATS = 3


@dataclass(frozen=True)
class Cost:
    """What one clip costs.

    Attributes:
        seconds: Of a pass forward, without gradients; the median of three, after one to warm up.
        forward_bytes: The most that tensors made in that pass held at once.
        training_bytes: Held when a pass forward with gradients ends, for the way back; per clip.
    """

    seconds: float
    forward_bytes: int
    training_bytes: int


def measure_cost(run: Callable[[], object], device: torch.device) -> Cost:
    """Measure the passes of a model.

    Args:
        run: Runs it forward once, and returns what gradients would start from.
        device: Where it runs.
    """
    with torch.no_grad():
        run()
        durations = []
        for _ in range(REPEATS):
            _wait(device)
            begun = time.perf_counter()
            run()
            _wait(device)
            durations.append(time.perf_counter() - begun)
        with LiveMemory() as forward:
            run()
    with torch.enable_grad(), LiveMemory() as training:
        held = run()
        kept = training.bytes
    del held
    return Cost(statistics.median(durations), forward.peak, kept)


class LiveMemory(TorchDispatchMode):
    """Within this context the memory of all tensors that are made is counted, on any device.

    Attributes:
        bytes: Held now.
        peak: The most held at once.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.bytes = self.peak = 0
        self._known: dict[int, Any] = {}
        self._given: set[int] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        before = {leaf.untyped_storage()._cdata for leaf in given}
        out = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(out):
            if isinstance(leaf, Tensor) and leaf.untyped_storage()._cdata not in before:
                self._count(leaf.untyped_storage())
        return out

    def _count(self, storage: torch.UntypedStorage) -> None:
        key, size = storage._cdata, storage.nbytes()
        if key in self._known:
            return
        self.bytes += size
        self.peak = max(self.peak, self.bytes)
        self._known[key] = weakref.finalize(storage, self._forget, key, size)

    def _forget(self, key: int, size: int) -> None:
        self.bytes -= size
        self._known.pop(key, None)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
