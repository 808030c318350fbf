"""Classes and functions as words in a file, and which of those words are followed."""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Callable, Sequence
from types import BuiltinFunctionType, FunctionType, MethodType
from typing import Any

_OWN = "audio_diffusion_pytorch"
# Modules whose classes and functions a file may name. Nothing here writes, or runs what it is told
# to, when it is called with arguments from a file. What a file can make happen at most is that a
# pretrained text model of a name that it gives is downloaded, when the first text or the width of
# a token is asked for, or at once where it is to be trained; code beside such a model is not run.
_PARTS = (
    *(
        f"{_OWN}.{folder}"
        for folder in (
            "nn",
            "ops",
            "nets",
            "diffusion",
            "conditioning",
            "losses",
            "autoencoders",
            "discriminators",
            "masking",
            "models",
        )
    ),
    "audio_encoders_pytorch",
    "a_unet",
    "torch.nn.modules",
    "torch.nn.functional",
)
# Those of them that go to the hub or to files as soon as they are called.
_REFUSED = {
    "a_unet": ("T5Embedder", "TextConditioningPlugin"),
    _OWN: ("load_archisound",),
}
_DOORS = (_OWN, "torch.nn")  # packages that hold such parts under a shorter name


class UntrustedNameError(ValueError):
    """A file names a class or function that is not imported because a file says so."""


def name_of(part: Callable[..., Any]) -> str | None:
    """Return `module:qualname` of a class or function; None for one that has no name.

    The shortest package that holds it under its name is given, since that stays where it is when
    files move: `audio_diffusion_pytorch:UNetV0`.
    """
    qualname = getattr(part, "__qualname__", None)
    if not qualname or "<" in qualname:  # a lambda, or inside a function
        return None
    module = getattr(part, "__module__", None)
    if isinstance(part, BuiltinFunctionType):
        module = "torch.nn.functional"
        return f"{module}:{qualname}" if _held(module, qualname) is part else None
    if not module:
        return None
    steps = module.split(".")
    places = [".".join(steps[: count + 1]) for count in range(len(steps))]
    for place in places:
        if _held(place, qualname) is part:
            return f"{place}:{qualname}"
    return f"{module}:{qualname}"


def is_own(part: type) -> bool:
    """Return whether a class is of this package."""
    return part.__module__.split(".")[0] == _OWN


def may_be_named(name: str) -> bool:
    """Return whether a name is one that a file may hold, as far as can be told without a look."""
    module, _, qualname = name.partition(":")
    refused = set(_REFUSED.get(module.partition(".")[0], ())) & set(qualname.split("."))
    return not refused and (module in _DOORS or _inside(module))


def find(name: str, trusted: Sequence[Any] = ()) -> Any:
    """Return the class or function of a name that `name_of` gave.

    Args:
        name: `module:qualname`.
        trusted: Classes and functions that are taken whatever their module is.

    Raises:
        UntrustedNameError: If it is not in `trusted` and not of a module that may be named.
        ValueError: If there is nothing of that name.
    """
    module, _, qualname = name.partition(":")
    given = [part for part in trusted if getattr(part, "__qualname__", None) == qualname]
    exact = [part for part in given if name_of(part) == name]
    if given:
        return (exact or given)[0]
    if not may_be_named(name):
        raise UntrustedNameError(name)
    try:
        found = _walk(importlib.import_module(module), qualname)
    except ImportError as error:
        raise ValueError(f"{name} cannot be imported ({error}): install what it needs") from error
    except AttributeError:
        raise ValueError(
            f"there is no {qualname} in {module}: the model was saved by another version"
        ) from None
    if not _is_part(found, qualname):
        raise UntrustedNameError(name)
    return found


def _inside(module: str) -> bool:
    return any(module == part or module.startswith(f"{part}.") for part in _PARTS)


def _held(module: str, qualname: str) -> Any:
    """Return what a loaded module holds under a name, without importing anything."""
    try:
        return inspect.getattr_static(sys.modules[module], qualname)
    except (KeyError, AttributeError):
        return None


def _walk(module: Any, qualname: str) -> Any:
    found = module
    for step in qualname.split("."):
        if found is not module and not isinstance(found, type):
            raise AttributeError(qualname)
        found = getattr(found, step)
    return found


def _is_part(found: Any, qualname: str) -> bool:
    """Return whether it is a class or function that is defined where parts are, under that name.

    A module also holds what it imports, `torch.load` and `os.system` among it: those are at home
    elsewhere.
    """
    if isinstance(found, BuiltinFunctionType):
        return _held("torch.nn.functional", qualname) is found
    kinds = (type, FunctionType, MethodType)
    at_home = _inside(getattr(found, "__module__", None) or "")
    return isinstance(found, kinds) and found.__qualname__ == qualname and at_home
