"""Objects as plain data that JSON holds: what they were made of, by name."""

from __future__ import annotations

import dataclasses
import inspect
import math
from collections.abc import Callable, Mapping, Sequence
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
_PLAIN = (type(None), bool, int, float, str)

Described = Any  # null, bool, int, float, str, lists and dicts of them


def describe(value: Any) -> Described:
    """Return plain data that `rebuild` makes an equal value of.

    What is not JSON's own is a dict whose first key starts with `$`: `$class` and `$function` by
    name, `$object` with the arguments it was made with, `$partial`, `$tuple`, `$dict` (keys that
    are no words), `$dtype`, `$tensor`, `$float` (infinite or no number). Whatever cannot be
    described becomes `$unknown` with the reason; it has to be given when the file is loaded.
    """
    try:
        return _describe(value)
    except Unknown as error:
        return unknown(type(value), str(error))


def unknown(kind: type, reason: str) -> Described:
    """Return the note that something of this class cannot be described."""
    return {"$unknown": name_of(kind) or kind.__name__, "because": reason}


def describe_call(make: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """Return the arguments of a call, by name and with its defaults, described.

    Arguments of a `*name` are under `*`, with those before them.
    """
    call = make.__init__ if isinstance(make, type) else make  # type: ignore[misc]
    signature = inspect.signature(call)
    own = (None,) if isinstance(make, type) else ()
    try:
        bound = signature.bind(*own, *args, **kwargs)
    except TypeError:  # the call will say so itself; a copy is made without arguments
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


def _describe(value: Any) -> Described:
    if type(value) in _PLAIN:
        if isinstance(value, float) and not math.isfinite(value):
            return {"$float": str(value)}
        return value
    if isinstance(value, partial):
        return {
            "$partial": describe(value.func),
            "args": [describe(item) for item in value.args],
            "keywords": {key: describe(item) for key, item in value.keywords.items()},
        }
    if isinstance(value, type | FunctionType | BuiltinFunctionType | MethodType):
        return _describe_callable(value)
    if isinstance(value, torch.dtype):
        return {"$dtype": str(value).removeprefix("torch.")}
    if isinstance(value, Enum):
        return _object(value, {"*": [describe(value.value)]})
    if isinstance(value, torch.device):
        raise Unknown("a device is chosen when a model is loaded")
    if isinstance(value, Tensor) and not isinstance(value, nn.Parameter):
        return _describe_tensor(value)
    record = getattr(value, "__dict__", {}).get(RECORD)
    if record is not None:
        return _object(value, record)
    if isinstance(value, np.generic):
        return describe(value.item())
    if isinstance(value, tuple):
        names = getattr(value, "_fields", None)
        if names is not None:
            return _object(value, {name: describe(getattr(value, name)) for name in names})
        return {"$tuple": [describe(item) for item in value]}
    if not isinstance(value, nn.Module):
        if isinstance(value, Mapping):
            return _describe_mapping(value)
        if isinstance(value, Sequence) and not isinstance(value, bytes | bytearray | range):
            return [describe(item) for item in value]
    return _describe_object(value)


def _describe_mapping(value: Mapping[Any, Any]) -> Described:
    if all(isinstance(key, str) and not key.startswith("$") for key in value):
        return {key: describe(item) for key, item in value.items()}
    return {"$dict": [[describe(key), describe(item)] for key, item in value.items()]}


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
    exact = value.detach().cpu()
    if exact.is_floating_point():
        exact = exact.double()
    dtype = str(value.dtype).removeprefix("torch.")
    values = _finite(exact.tolist())
    return {"$tensor": values, "dtype": dtype, "shape": list(value.shape)}


def _finite(values: Any) -> Any:
    return [_finite(item) for item in values] if isinstance(values, list) else describe(values)


def _describe_object(value: Any) -> Described:
    if dataclasses.is_dataclass(value):
        names = [field.name for field in dataclasses.fields(value) if field.init]
        return _object(value, {name: describe(getattr(value, name)) for name in names})
    if type(value) is nn.Sequential:
        return _object(value, {"*": [describe(module) for module in value]})
    arguments, check = guess_arguments(value)
    described = {name: describe(item) for name, item in arguments.items()}
    check()
    return _object(value, described)


def _object(value: Any, arguments: Described) -> Described:
    name = name_of(type(value))
    if name is None:
        raise Unknown("its class stands inside a function, and so has no name")
    return {"$object": name, "arguments": arguments}
