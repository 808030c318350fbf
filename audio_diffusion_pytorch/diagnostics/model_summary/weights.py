"""How many numbers a model consists of, each counted once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from torch import Tensor, nn


@dataclass(frozen=True)
class WeightCounts:
    """Numbers of a model.

    Attributes:
        trainable: That have a gradient.
        frozen: Weights that have none.
        buffers: That belong to the model and are no weights, such as statistics.
        shared: That stand at a second place too, for which they are not counted again.
        bytes: Of all of them.
        formats: How many weights and buffers are of each number format.
    """

    trainable: int
    frozen: int
    buffers: int
    shared: int
    bytes: int
    formats: dict[str, int] = field(default_factory=dict)

    @property
    def weights(self) -> int:
        """Trainable and frozen."""
        return self.trainable + self.frozen

    @property
    def text(self) -> str:
        """Such as "1,234 weights (1,200 trainable, 34 frozen) and 12 buffers, 0.0 MiB"."""
        shared = f"; {self.shared:,} of them stand at two places" if self.shared else ""
        formats = ", ".join(f"{count:,} in {name}" for name, count in self.formats.items())
        return (
            f"{self.weights:,} weights ({self.trainable:,} trainable, {self.frozen:,} frozen) and "
            f"{self.buffers:,} numbers in buffers, {self.bytes / 2**20:.1f} MiB ({formats}){shared}"
        )


def count_weights(model: nn.Module) -> WeightCounts:
    """Count the numbers of a model; a tensor that two parts share counts once."""
    counts = {"trainable": 0, "frozen": 0, "buffers": 0, "shared": 0, "bytes": 0}
    formats: Counter[str] = Counter()
    seen: set[object] = set()
    for part in model.modules():
        for kind, tensor in own_tensors(part):
            size = tensor.numel()
            if place_of(tensor) in seen:
                counts["shared"] += size
                continue
            seen.add(place_of(tensor))
            counts[kind] += size
            counts["bytes"] += size * tensor.element_size()
            formats[str(tensor.dtype).removeprefix("torch.")] += size
    return WeightCounts(**counts, formats=dict(formats))


def own_tensors(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Yield "trainable", "frozen" or "buffers" and the tensor, of those right in a module."""
    for weight in module.parameters(recurse=False):
        yield "trainable" if weight.requires_grad else "frozen", weight
    for buffer in module.buffers(recurse=False):
        yield "buffers", buffer


def place_of(tensor: Tensor) -> object:
    """Return what is equal for two tensors that are the same numbers in memory."""
    if tensor.numel() == 0:
        return id(tensor)
    return tensor.untyped_storage()._cdata, tensor.storage_offset(), tensor.shape
