"""The arguments of objects that did not record them, read off what they keep."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from .encoder_arguments import encoder_arguments
from .names import is_own, may_be_named

Arguments = dict[str, Any]


class Unknown(Exception):  # noqa: N818  never seen outside: it becomes a note in the file
    """Something cannot be described; the text says why."""


def guess_arguments(part: Any) -> tuple[Arguments, Callable[[], None]]:
    """Return arguments that make an object like `part`, and a check to run on them.

    Classes of this package keep each argument as an attribute of its name. Those of torch and of
    the packages this one builds on mostly do: there a twin is made and compared. Any other class
    is asked for its arguments in no other way than `recorded`.

    Raises:
        Unknown: If the arguments cannot be told.
    """
    kind = type(part)
    new: Any = kind.__new__
    if kind.__init__ in (object.__init__, nn.Module.__init__) and new is object.__new__:
        return {}, _no_check
    if is_own(kind):
        return _attributes(part, lenient=False), _no_check
    if not may_be_named(f"{kind.__module__}:{kind.__qualname__}"):
        raise Unknown(_remedy(kind))
    found = encoder_arguments(part)
    if found is not None:
        return found, _no_check
    arguments = _attributes(part, lenient=True)
    return arguments, lambda: _check_twin(part, arguments)


def _no_check() -> None:
    return None


def _remedy(kind: type) -> str:
    homes = {base.__module__.partition(".")[0] for base in kind.__mro__}
    if homes & {"transformers", "tokenizers"}:  # more than its arguments: what it has learnt
        return "a ready-made part of the transformers library is not saved, only the name of one"
    return f"its arguments are not recorded: make it by recorded({kind.__name__})(...)"


def _attributes(part: Any, *, lenient: bool) -> Arguments:
    """Return the attributes named like the constructor's arguments; lenient leaves defaults out."""
    arguments: Arguments = {}
    for name, parameter in list(inspect.signature(type(part).__init__).parameters.items())[1:]:
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            if lenient:
                continue
            raise Unknown(_remedy(type(part)))
        value = getattr(part, name, parameter.empty)
        kept = value is not parameter.empty and not isinstance(value, nn.Parameter)
        if kept:
            arguments[name] = value
        elif not lenient or parameter.default is parameter.empty:
            raise Unknown(_remedy(type(part)))
    return arguments


def _check_twin(part: Any, arguments: Arguments) -> None:
    """Make it once more, without memory for weights, and compare.

    Raises:
        Unknown: If it cannot be made, or is another one.
    """
    has_weights = isinstance(part, nn.Module) and next(part.parameters(), None) is not None
    try:
        with torch.device("meta") if has_weights else nullcontext():
            twin = type(part)(**arguments)
    except Exception as error:
        raise Unknown(_remedy(type(part))) from error
    if not _alike(part, twin):
        raise Unknown(_remedy(type(part)))


def _alike(one: Any, other: Any) -> bool:
    """Return whether two objects keep the same, but for the values of tensors."""
    if type(one) is not type(other):
        return False
    if isinstance(one, Tensor):
        return bool(one.shape == other.shape and one.dtype == other.dtype)
    if isinstance(one, list | tuple):
        pairs = zip(one, other, strict=False)
        return len(one) == len(other) and all(_alike(a, b) for a, b in pairs)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(_alike(one[key], other[key]) for key in one)
    if isinstance(one, nn.Module):
        return _alike(_kept(one), _kept(other))
    same: bool = one is other or bool(one == other)
    return same


def _kept(module: nn.Module) -> dict[str, Any]:
    return {name: value for name, value in vars(module).items() if name != "training"}
