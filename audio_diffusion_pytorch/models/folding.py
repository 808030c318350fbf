"""Channels of a sound as items of the batch, and conditioning repeated to go with them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor


def repeat_items(value: Any, items: int, copies: int, name: str = "") -> Any:
    """Return conditioning of `items` items with each item `copies` times in a row.

    Tensors have the batch as their first axis, lists of words one for each item (None for no word).
    Dictionaries, lists and tuples may nest. Anything else stays as it is, and so do tensors and
    lists of words of another size: one word serves all.

    Args:
        value: The conditioning.
        items: Items of the batch.
        copies: How often each comes.
        name: What it is called: a list of nothing but None is one of words under the name `text`.
    """
    if copies == 1:
        return value
    if isinstance(value, Tensor):
        per_item = value.ndim > 0 and len(value) == items
        return value.repeat_interleave(copies, 0) if per_item else value
    if isinstance(value, Mapping):
        return {key: repeat_items(part, items, copies, key) for key, part in value.items()}
    if isinstance(value, list | tuple) and not hasattr(value, "_fields"):
        if len(value) == items and _are_words(value, name):
            return [word for word in value for _ in range(copies)]
        return type(value)(repeat_items(part, items, copies) for part in value)
    return value


def _are_words(value: list[Any] | tuple[Any, ...], name: str) -> bool:
    """Return whether these are strings or None; without any string, only under the name `text`."""
    some = name == "text" or any(isinstance(word, str) for word in value)
    return some and all(isinstance(word, str | None) for word in value)
