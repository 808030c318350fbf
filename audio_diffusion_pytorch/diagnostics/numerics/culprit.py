"""Where a number stopped being finite, in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor


@dataclass(frozen=True)
class Numbers:
    """What some tensors hold.

    Attributes:
        count: Numbers in all.
        nan: Of them, not a number.
        infinite: Of them, infinite.
        largest: Largest magnitude of the finite ones, 0 of none.
    """

    count: int
    nan: int
    infinite: int
    largest: float

    @property
    def finite(self) -> bool:
        """Whether all are."""
        return not (self.nan or self.infinite)

    @property
    def text(self) -> str:
        """Such as "3 NaN and 1 infinite of 64 numbers"."""
        bad = [f"{self.nan} NaN"] if self.nan or self.finite else []
        bad += [f"{self.infinite} infinite"] if self.infinite else []
        return f"{' and '.join(bad)} of {self.count} numbers"


@dataclass(frozen=True)
class Culprit:
    """The part of a model that made the first numbers which are not finite.

    Attributes:
        where: Its dotted path; empty for the model itself.
        kind: Its class.
        during: "forward", "backward", or "given" where the model was given them.
        made: What came out: its output, or the gradient it passed on.
        of: What it was given meanwhile: its input, or the gradient that came to it.
        weights: Its own weights that are not finite.
        passed_by: The part that met them first, where the module made them in its own steps and
            not by one of its parts; empty otherwise.
    """

    where: str
    kind: str
    during: Literal["forward", "backward", "given"]
    made: Numbers
    of: Numbers
    weights: tuple[str, ...] = ()
    passed_by: str = ""

    @property
    def name(self) -> str:
        """The path and class, such as "net.levels.0.down (Downsample)"."""
        return f"{self.where} ({self.kind})" if self.where else f"the model itself ({self.kind})"

    @property
    def text(self) -> str:
        """One sentence without a full stop."""
        if self.during == "given":
            return f"{self.name} was given them: {self.made.text}"
        if self.during == "forward":
            said = f"{self.name} made them: {self.made.text}, of inputs up to {self.of.largest:.4g}"
        else:
            said = (
                f"the gradient of {self.name} made them: {self.made.text}, of gradients up to "
                f"{self.of.largest:.4g}"
            )
        if self.weights:
            said += f"; not finite are its {', '.join(self.weights)}"
        if self.passed_by:
            said += f"; it did so in its own steps, and {self.passed_by} met them first"
        return said


def count_numbers(value: Any) -> Numbers:
    """Count what the floating-point tensors in a value hold, however nested."""
    count = nan = infinite = 0
    largest = 0.0
    for tensor in tensors_in(value):
        count += tensor.numel()
        finite = tensor.isfinite()
        if not bool(finite.all()):
            nan += int(tensor.isnan().sum())
            infinite += int(tensor.isinf().sum())
            tensor = tensor[finite]
        if tensor.numel():
            largest = max(largest, float(tensor.abs().max()))
    return Numbers(count, nan, infinite, largest)


def tensors_in(value: Any) -> Iterator[Tensor]:
    """Yield the floating-point tensors in tuples, lists and mappings, detached."""
    if isinstance(value, Tensor):
        if (value.is_floating_point() or value.is_complex()) and not value.is_meta:
            yield value.detach()
    elif isinstance(value, Mapping):
        for part in value.values():
            yield from tensors_in(part)
    elif isinstance(value, (tuple, list)):
        for part in value:
            yield from tensors_in(part)
