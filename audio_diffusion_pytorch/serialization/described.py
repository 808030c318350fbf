"""Objects as plain data that JSON holds: what they were made of, by name."""

from __future__ import annotations

import dataclasses
import inspect
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import Enum
from functools import partial
from types import BuiltinFunctionType, FunctionType, MethodType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from .guessing import Unknown, guess_arguments
from .names import name_of

RECORD = "_made_of"  # the attribute that holds the arguments an object was made with
_LARGEST_TENSOR = 4096  # values; weights belong in the weights
_MOST_VALUES, _DEEPEST = 100_000, 64  # of one argument; more are data, and not what a model is
_PLAIN = (type(None), bool, int, float, str)

Described = Any  # null, bool, int, float, str, lists and dicts of them


def describe(value: Any) -> Described:
    """Return plain data that `rebuild` makes an equal value of.

    What is not JSON's own is a dict whose first key starts with `$`: `$class` and `$function` by
    name, `$object` with the arguments it was made with, `$partial`, `$tuple`, `$dict` (keys that
    are no words), `$dtype`, `$tensor`, `$float` (infinite or no number). Whatever cannot be
    described becomes `$unknown` with the reason; it has to be given when the file is loaded.

    It is called while models are being built: whatever the value is, nothing is raised, nothing is
    walked but lists, tuples and dicts, and of these no more than a description should hold.
    """
    try:
        return _Walk().describe(value)
    except _EndlessError as error:
        return unknown(type(value), str(error))
    except RecursionError:
        return unknown(type(value), _EndlessError.reason)


def unknown(kind: type, reason: str) -> Described:
    """Return the note that something of this class cannot be described."""
    return {"$unknown": name_of(kind) or kind.__name__, "because": reason}


def describe_call(make: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """Return the arguments of a call, by name and with its defaults, described.

    Arguments of a `*name` are under `*`, with those before them.
    """
    call = make.__init__ if isinstance(make, type) else make  # type: ignore[misc]
    own = (None,) if isinstance(make, type) else ()
    try:
        signature = inspect.signature(call)
        bound = signature.bind(*own, *args, **kwargs)
    except (TypeError, ValueError):
        # The call will say so itself; a copy is made without arguments; C has no signature.
        return {}
    given = set(bound.arguments)
    bound.apply_defaults()
    arguments: dict[str, Any] = {}
    for name, parameter in list(signature.parameters.items())[len(own) :]:
        value = bound.arguments[name]
        if parameter.kind is parameter.VAR_KEYWORD:
            arguments |= {key: describe(item) for key, item in value.items()}
        elif parameter.kind is parameter.VAR_POSITIONAL:
            if value:
                arguments = {"*": [*arguments.values(), *map(describe, value)]}
        else:
            described = describe(value)
            if name in given or not _holds_unknown(described):
                arguments[name] = described
    return arguments


def _holds_unknown(tree: Described) -> bool:
    return any(True for _ in find_unknown(tree))


def find_unknown(tree: Described, path: str = "") -> list[tuple[str, str, str]]:
    """Return `(path, class, reason)` of everything in a description that is not described."""
    if isinstance(tree, list):
        places = [(f"{path}[{i}]", item) for i, item in enumerate(tree)]
    elif isinstance(tree, dict):
        if "$unknown" in tree:
            return [(path, tree["$unknown"], tree["because"])]
        hidden = ("$object", "arguments")
        places = [
            (path if key.startswith("$") or key in hidden else f"{path}.{key}".lstrip("."), item)
            for key, item in tree.items()
        ]
    else:
        return []
    return [found for place, item in places for found in find_unknown(item, place)]


class _EndlessError(Exception):
    """A value holds itself, or more than a description should hold."""

    reason = f"it holds itself, over {_MOST_VALUES} values, or is nested over {_DEEPEST} deep"

    def __init__(self) -> None:
        super().__init__(self.reason)


class _Walk:
    """One walk through a value and what is in it."""

    def __init__(self) -> None:
        self.around: set[int] = set()  # what the value at hand is in
        self.count = 0

    def describe(self, value: Any) -> Described:
        """Return plain data, or the note why there is none.

        Raises:
            _EndlessError: If the whole cannot be described: it is endless.
        """
        self.count += 1
        if self.count > _MOST_VALUES:
            raise _EndlessError
        if type(value) in _PLAIN:
            return _describe_plain(value)
        if id(value) in self.around or len(self.around) >= _DEEPEST:
            raise _EndlessError
        self.around.add(id(value))
        try:
            return self._describe(value)
        except (_EndlessError, RecursionError):
            raise
        except Unknown as error:
            return unknown(type(value), str(error))
        except Exception as error:  # of a stranger's properties and operators: anything
            return unknown(type(value), f"looking at it raises {type(error).__name__}")
        finally:
            self.around.discard(id(value))

    def _describe(self, value: Any) -> Described:
        if isinstance(value, partial):
            return {
                "$partial": self.describe(value.func),
                "args": self._each(value.args),
                "keywords": self._named(value.keywords),
            }
        if isinstance(value, type | FunctionType | BuiltinFunctionType | MethodType):
            return _describe_callable(value)
        if isinstance(value, torch.dtype):
            return {"$dtype": str(value).removeprefix("torch.")}
        if isinstance(value, Enum):
            return _object(value, {"*": [self.describe(value.value)]})
        if isinstance(value, torch.device):
            raise Unknown("a device is chosen when a model is loaded")
        if isinstance(value, Tensor) and not isinstance(value, nn.Parameter):
            return _describe_tensor(value)
        record = getattr(value, "__dict__", {}).get(RECORD)
        if record is not None:
            return _object(value, record)
        if isinstance(value, np.number | np.bool_):
            number: Any = value  # numpy's old stubs know no `item`
            return self.describe(number.item())
        for kind in (str, int, float):
            if isinstance(value, kind):  # a subclass; its own __str__ may say anything
                return _describe_plain(_BASE_VALUE[kind](value))
        if isinstance(value, tuple | list | dict) and not isinstance(value, nn.Module):
            return self._describe_container(value)
        if type(value).__module__.partition(".")[0] == "omegaconf":
            if type(value).__name__ == "ListConfig":
                return self._each(value)
            if type(value).__name__ == "DictConfig":
                return self._describe_mapping(value.items())
        return self._describe_object(value)

    def _each(self, values: Iterable[Any]) -> list[Described]:
        return [self.describe(item) for item in values]

    def _named(self, values: Mapping[str, Any]) -> dict[str, Described]:
        return {key: self.describe(item) for key, item in values.items()}

    def _describe_container(self, value: Any) -> Described:
        # What the base class holds: subclasses may make their items up as they are asked for.
        if isinstance(value, list):
            return self._each(list.__iter__(value))
        if isinstance(value, dict):
            return self._describe_mapping(dict.items(value))
        names = getattr(value, "_fields", None)
        if names is not None:
            return _object(value, self._named({name: getattr(value, name) for name in names}))
        return {"$tuple": self._each(tuple.__iter__(value))}

    def _describe_mapping(self, items: Iterable[tuple[Any, Any]]) -> Described:
        described = [[self.describe(key), self.describe(item)] for key, item in items]
        if all(isinstance(key, str) and not key.startswith("$") for key, _ in described):
            return {key: item for key, item in described}  # noqa: C416  for the type checker
        return {"$dict": described}

    def _describe_object(self, value: Any) -> Described:
        if dataclasses.is_dataclass(value):
            names = [field.name for field in dataclasses.fields(value) if field.init]
            return _object(value, self._named({name: getattr(value, name) for name in names}))
        if type(value) is nn.Sequential:
            return _object(value, {"*": self._each(value)})
        arguments, check = guess_arguments(value)
        described = self._named(arguments)
        check()
        return _object(value, described)


_BASE_VALUE: dict[type, Callable[[Any], Any]] = {
    str: str.__str__,
    int: int.__int__,
    float: float.__float__,
}


def _describe_plain(value: Any) -> Described:
    if isinstance(value, float) and not math.isfinite(value):
        return {"$float": str(value)}
    return value


def _describe_callable(value: Any) -> Described:
    if isinstance(value, MethodType) and not isinstance(value.__self__, type):
        raise Unknown("it is a method of an object")
    name = name_of(value)
    if name is None:
        raise Unknown("it is a lambda or stands inside a function, and so has no name")
    return {"$class" if isinstance(value, type) else "$function": name}


def _describe_tensor(value: Tensor) -> Described:
    if value.is_meta or value.numel() > _LARGEST_TENSOR or value.is_complex():
        raise Unknown(f"a tensor of {value.numel()} values belongs in the weights, as a buffer")
    if value.layout is not torch.strided or value.is_quantized:
        raise Unknown("a sparse or quantized tensor belongs in the weights, as a buffer")
    exact = value.detach().cpu()
    if exact.is_floating_point():
        exact = exact.double()
    dtype = str(value.dtype).removeprefix("torch.")
    values = _finite(exact.tolist())
    return {"$tensor": values, "dtype": dtype, "shape": list(value.shape)}


def _finite(values: Any) -> Any:
    if isinstance(values, list):
        return [_finite(item) for item in values]
    return _describe_plain(values)


def _object(value: Any, arguments: Described) -> Described:
    name = name_of(type(value))
    if name is None:
        raise Unknown("its class stands inside a function, and so has no name")
    return {"$object": name, "arguments": arguments}
