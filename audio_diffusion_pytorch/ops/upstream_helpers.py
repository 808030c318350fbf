"""The small functions of upstream's `utils`, for code that imports them; the package needs none.

They give the same numbers as in release 0.1.3. Where one of ours does the same for this package,
its text says which.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from inspect import isfunction
from typing import Any, TypeGuard, TypeVar

import torch
from torch import Generator, Tensor

T = TypeVar("T")


def exists(val: T | None) -> TypeGuard[T]:
    """Return whether `val` is anything but None."""
    return val is not None


def iff(condition: bool, value: T) -> T | None:
    """Return `value` where the condition holds, else None."""
    return value if condition else None


def is_sequence(obj: object) -> TypeGuard[list[Any] | tuple[Any, ...]]:
    """Return whether `obj` is a list or a tuple; a string or a tensor is none."""
    return isinstance(obj, (list, tuple))


def default(val: T | None, d: Callable[..., T] | T) -> T:
    """Return `val`, or where it is None `d`, called first if it is a plain function."""
    if val is not None:
        return val
    made: T = d() if isfunction(d) else d  # type: ignore[assignment]
    return made


def to_list(val: T | Sequence[T]) -> list[T]:
    """Return a list of what a list or tuple holds, or of the one value; a list as it is."""
    if isinstance(val, list):
        return val
    if isinstance(val, tuple):
        return list(val)
    return [val]  # type: ignore[list-item]


def prod(vals: Sequence[int]) -> int:
    """Return the product of all values, 1 of none."""
    return math.prod(vals)


def closest_power_2(x: float) -> int:
    """Return the power of two nearest to `x`, the lower one of two as near.

    Raises:
        ValueError: If `x` is not above 0.
    """
    if not x > 0:
        raise ValueError(f"only numbers above 0 have a closest power of 2, got {x}")
    exponent = math.log2(x)
    below, above = (2 ** round_(exponent) for round_ in (math.floor, math.ceil))
    closest: int = below if abs(x - below) <= abs(x - above) else above
    return closest


def group_dict_by_prefix(
    prefix: str, d: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the entries whose key starts with `prefix`, and the others; keys stay as they are."""
    chosen = {key: value for key, value in d.items() if key.startswith(prefix)}
    return chosen, {key: value for key, value in d.items() if key not in chosen}


def groupby(
    prefix: str, d: Mapping[str, Any], keep_prefix: bool = False
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the entries whose key starts with `prefix`, without it, and the others."""
    chosen, others = group_dict_by_prefix(prefix, d)
    if not keep_prefix:
        chosen = {key[len(prefix) :]: value for key, value in chosen.items()}
    return chosen, others


def prefix_dict(prefix: str, d: Mapping[Any, Any]) -> dict[str, Any]:
    """Return the entries with `prefix` put before each key."""
    return {f"{prefix}{key}": value for key, value in d.items()}


def randn_like(
    tensor: Tensor, *args: Any, generator: Generator | None = None, **kwargs: Any
) -> Tensor:
    """Return noise of the shape, device and dtype of a tensor.

    It is drawn where the generator lives, by torch's default on the CPU, in torch's default
    type, and moved afterwards: upstream's numbers, on any device. `ops.randn_like` draws where the
    tensor is.

    Args:
        tensor: Any shape.
        *args: As `torch.randn`.
        generator: On any device.
        **kwargs: As `torch.randn`: `device` and `dtype` of the draw.
    """
    if generator is not None:
        kwargs.setdefault("device", generator.device)
    return torch.randn(tensor.shape, *args, generator=generator, **kwargs).to(tensor)
