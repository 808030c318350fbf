"""Objects made again from plain data that `describe` gave."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import torch

from .described import Described
from .names import UntrustedNameError, find


class NotDescribedError(ValueError):
    """A file holds a note that something could not be described."""

    def __init__(self, kind: str, reason: str) -> None:
        super().__init__(f"{kind} is not described ({reason})")
        self.kind = kind
        self.reason = reason


def rebuild(tree: Described, trusted: Sequence[Any] = ()) -> Any:
    """Return what a description is of.

    Args:
        tree: Plain data, from `describe` by way of JSON.
        trusted: Classes and functions it may name besides those of the packages for parts.

    Raises:
        UntrustedNameError: If it names another one.
        NotDescribedError: If something in it is only noted.
        ValueError: If it cannot be read, or its parts refuse their arguments.
    """
    if isinstance(tree, list):
        return [rebuild(item, trusted) for item in tree]
    if not isinstance(tree, dict):
        return tree
    kind = next(iter(tree), "")
    if not kind.startswith("$"):
        return {key: rebuild(item, trusted) for key, item in tree.items()}
    content = tree[kind]
    if kind == "$unknown":
        raise NotDescribedError(content, tree["because"])
    if kind == "$class" or kind == "$function":
        return find(content, trusted)
    if kind == "$object":
        return rebuild_object(content, tree["arguments"], trusted)
    if kind == "$partial":
        args = [rebuild(item, trusted) for item in tree["args"]]
        keywords = {key: rebuild(item, trusted) for key, item in tree["keywords"].items()}
        return partial(rebuild(content, trusted), *args, **keywords)
    if kind == "$tuple":
        return tuple(rebuild(item, trusted) for item in content)
    if kind == "$dict":
        return {rebuild(key, trusted): rebuild(item, trusted) for key, item in content}
    if kind == "$float":
        return float(content)
    if kind == "$dtype":
        return _dtype(content)
    if kind == "$tensor":
        values = rebuild(content, trusted)
        return torch.tensor(values, dtype=_dtype(tree["dtype"])).reshape(tree["shape"])
    raise ValueError(f"{kind} means nothing here: the model was saved by a newer version")


def rebuild_object(name: str, arguments: Mapping[str, Described], trusted: Sequence[Any]) -> Any:
    """Return an object of a class by name; only classes are called.

    Raises:
        UntrustedNameError: If the name is not that of a class that may be made.
    """
    kind = find(name, trusted)
    if not isinstance(kind, type):
        raise UntrustedNameError(name)
    return call(kind, {key: rebuild(item, trusted) for key, item in arguments.items()})


def call(kind: type, arguments: dict[str, Any]) -> Any:
    """Return `kind(...)` of arguments as `describe_call` names them."""
    arguments = dict(arguments)
    return kind(*arguments.pop("*", ()), **arguments)


def _dtype(word: str) -> torch.dtype:
    found = getattr(torch, word, None)
    if not isinstance(found, torch.dtype):
        raise ValueError(f"torch has no dtype {word}: upgrade torch")
    return found
