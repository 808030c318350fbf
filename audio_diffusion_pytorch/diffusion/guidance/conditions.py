"""Two conditions, of whatever make, as one condition of a batch of twice the size."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor


def stack_conditions(cond: Mapping[str, Any], null_cond: Mapping[str, Any]) -> dict[str, Any]:
    """Return the condition of the batch `[with cond; with null_cond]`.

    Tensors have the batch as first axis and are put behind one another, as are lists of words,
    among which None stands for no word (a list of nothing but None is one of words under the name
    `text`); a null of one item serves every item. Dictionaries, lists
    and tuples may nest. Anything else (numbers, switches, None) is shared, and must be the same in
    both.

    Args:
        cond: The condition by name.
        null_cond: Replaces some of its names; what it does not name is kept.

    Raises:
        ValueError: If `null_cond` has a name that `cond` lacks, the two cannot be batched, or the
            network is told to guide as well.
    """
    scale = cond.get("embedding_scale", 1.0)
    if isinstance(scale, int | float) and scale != 1.0:
        raise ValueError(
            f"guidance= and embedding_scale= both guide, got embedding_scale={scale:g} beside a "
            "guidance: leave one out (what guidance= moves away from is null_cond, such as "
            '{"text": [...]})'
        )
    unknown = sorted(set(null_cond) - set(cond))
    if unknown:
        raise ValueError(
            f"null_cond must replace conditions that were given ({_names(cond)}), got "
            f"{', '.join(map(repr, unknown))}: give both under one name"
        )
    return {name: _stack(value, null_cond.get(name, value), name) for name, value in cond.items()}


def _stack(value: Any, null: Any, name: str) -> Any:
    if isinstance(value, Tensor) and isinstance(null, Tensor) and value.ndim > 0:
        return _stack_tensors(value, null, name)
    if isinstance(value, Mapping) and isinstance(null, Mapping) and value.keys() == null.keys():
        return {key: _stack(value[key], null[key], f"{name}.{key}") for key in value}
    if isinstance(value, list | tuple) and isinstance(null, list | tuple):
        words = all(isinstance(word, str | None) for word in null)
        if _are_words(value, name) and null and words:
            return [*value, *(null * len(value) if len(null) == 1 else null)]
        if len(value) == len(null):
            pairs = enumerate(zip(value, null, strict=True))
            parts = [_stack(one, other, f"{name}[{i}]") for i, (one, other) in pairs]
            return parts if isinstance(value, list) else tuple(parts)
    if value is null or _equal(value, null):
        return value
    raise ValueError(
        f"a condition and its null must be alike to share one batch, got for {name!r} "
        f"{_kind(value)} and {_kind(null)}: make both tensors of one shape with the batch first"
    )


def _are_words(value: list[Any] | tuple[Any, ...], name: str) -> bool:
    """Return whether these are strings or None; without any string, only under the name `text`."""
    some = name.rpartition(".")[2] == "text" or any(isinstance(word, str) for word in value)
    return some and all(isinstance(word, str | None) for word in value)


def _stack_tensors(value: Tensor, null: Tensor, name: str) -> Tensor:
    if len(null) == 1 and null.shape[1:] == value.shape[1:]:
        null = null.expand_as(value)
    if null.shape != value.shape:
        raise ValueError(
            f"the null of {name!r} must have the shape {tuple(value.shape)} of the condition "
            f"(or one item of it), got {tuple(null.shape)}: pad or repeat it"
        )
    return torch.cat([value, null.to(value)])


def _equal(value: Any, null: Any) -> bool:
    if isinstance(value, Tensor) and isinstance(null, Tensor):
        return value.shape == null.shape and bool((value == null).all())
    return isinstance(value, str | int | float) and type(value) is type(null) and value == null


def _names(cond: Mapping[str, Any]) -> str:
    return ", ".join(cond) if cond else "none"


def _kind(value: Any) -> str:
    return repr(value) if isinstance(value, str | int | float) else type(value).__name__
