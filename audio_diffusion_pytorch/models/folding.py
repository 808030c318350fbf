"""Channels of a sound as items of the batch, and conditioning repeated to go with them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor


def repeat_items(value: Any, items: int, copies: int) -> Any:
    """Return conditioning of `items` items with each item `copies` times in a row.

    Tensors have the batch as their first axis, lists of words one for each item. Dictionaries,
    lists and tuples may nest. Anything else, and tensors of another size, stay as they are.

    Args:
        value: The conditioning.
        items: Items of the batch.
        copies: How often each comes.
    """
    if copies == 1:
        return value
    if isinstance(value, Tensor):
        per_item = value.ndim > 0 and len(value) == items
        return value.repeat_interleave(copies, 0) if per_item else value
    if isinstance(value, Mapping):
        return {name: repeat_items(part, items, copies) for name, part in value.items()}
    if isinstance(value, list | tuple) and not hasattr(value, "_fields"):
        if value and all(isinstance(word, str) for word in value):
            return [word for word in value for _ in range(copies)]
        return type(value)(repeat_items(part, items, copies) for part in value)
    return value
