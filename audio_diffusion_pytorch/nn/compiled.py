"""Compiling a block that repeats once for all its repetitions."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from types import FunctionType
from typing import Any, TypeVar, cast

import torch

Call = TypeVar("Call", bound=Callable[..., Any])


def compile_shared(function: Call, device: torch.device, **options: Any) -> Call:
    """Return `function` compiled by `torch.compile`, for calls with many modules of one shape.

    Weights are arguments of compiled code, so modules of one shape share it. torch keeps it with
    the code of the function, at most eight versions of it (`recompile_limit`), and then stops
    compiling: here it gets code of its own, so that other shapes, compiled apart, do not use up
    its versions.

    Args:
        function: `(module, *inputs) -> outputs`, a plain function.
        device: Where it will run.
        **options: As `torch.compile` takes them, such as `dynamic` or `mode`.

    Raises:
        FileNotFoundError: If it will run on a CPU and there is no C++ compiler.
    """
    check_compiler(device, options.get("backend", "inductor"))
    if device.type == "cpu" and not {"backend", "mode", "options"} & set(options):
        # The layouts are chosen already: on its own account the compiler would rearrange the
        # weights of short levels at each call (a tenth of the README's network).
        options["options"] = {"layout_optimization": False}
    plain = cast(FunctionType, function)
    own = FunctionType(plain.__code__.replace(), plain.__globals__, plain.__name__)
    return cast(Call, torch.compile(own, **options))


def check_compiler(device: torch.device, backend: object = "inductor") -> None:
    """Refuse to compile for a CPU without a C++ compiler, before the first call fails at length.

    Raises:
        FileNotFoundError: If there is none.
    """
    if device.type != "cpu" or backend != "inductor":
        return
    asked = os.environ.get("CXX")
    names = [asked] if asked else ["g++", "clang++", "c++", "cl"]
    if not any(shutil.which(name) for name in names):
        raise FileNotFoundError(
            f"compiling for a CPU needs a C++ compiler, found none named {' or '.join(names)}: "
            "install one (Debian: apt install g++) or name it in the variable CXX"
        )
