"""Record what release 0.1.3 of audio-diffusion-pytorch offers: its names and its signatures.

    PYTHONPATH=FOLDER_WITH_0.1.3 python tools/make_upstream_names.py

Run it where `audio_diffusion_pytorch` is that release and torchaudio imports. It writes
`tests/golden/upstream_names.json`: for each module every name that `from module import *` gives,
and the parameters of all that the release itself defines. The tests ask of this package that it
has every name, and every parameter in the same order with the same default.
"""

from __future__ import annotations

import argparse
import importlib
import inspect
import json
import re
from pathlib import Path
from typing import Any

PACKAGE = "audio_diffusion_pytorch"
MODULES = [
    PACKAGE,
    *(f"{PACKAGE}.{name}" for name in ("components", "diffusion", "models", "utils")),
]
TARGET = Path(__file__).resolve().parent.parent / "tests" / "golden" / "upstream_names.json"
# Methods that nobody overrides or calls by these names, and those of torch, are left out.
METHODS = ("__init__", "__call__", "forward", "sample", "encode", "decode")


def star_names(module: str) -> list[str]:
    """Return the names that a star import of a module gives."""
    names: dict[str, Any] = {}
    exec(f"from {module} import *", names)
    return sorted(name for name in names if name != "__builtins__")


def described(parameter: inspect.Parameter) -> str:
    """Return a parameter as it would stand in the code, an object as `Class()`, no annotation."""
    stars = {"VAR_POSITIONAL": "*", "VAR_KEYWORD": "**"}.get(parameter.kind.name, "")
    default = parameter.default
    if default is inspect.Parameter.empty:
        return f"{stars}{parameter.name}"
    if default is None or isinstance(default, bool | int | float | str):
        value = repr(default)
    elif isinstance(default, type) or inspect.isroutine(default):
        value = default.__name__
    else:
        value = f"{type(default).__name__}()"
    return f"{parameter.name}={value}"


def parameters(function: Any) -> list[str]:
    """Return every parameter but `self`; a bare star stands before those by keyword only."""
    found, listed = inspect.signature(function).parameters.values(), []
    for parameter in found:
        keyword = parameter.kind.name == "KEYWORD_ONLY"
        if keyword and not any(name.startswith("*") for name in listed):
            listed.append("*")
        listed.append(described(parameter))
    return [name for name in listed if name != "self"]


def signatures(module: Any) -> dict[str, list[str]]:
    """Return the signatures of what a module defines itself."""
    found = {}
    for name, value in vars(module).items():
        if getattr(value, "__module__", None) != module.__name__ or name.startswith("_"):
            continue
        if inspect.isfunction(value):
            found[name] = parameters(value)
        elif inspect.isclass(value):
            own = [
                m
                for base in value.__mro__
                if base.__module__.startswith(PACKAGE)
                for m in vars(base)
            ]
            for method in METHODS:
                if method in own:
                    found[f"{name}.{method}"] = parameters(getattr(value, method))
    return found


def main() -> None:
    """Write the file."""
    about = argparse.RawDescriptionHelpFormatter
    argparse.ArgumentParser(description=__doc__, formatter_class=about).parse_args()
    record = {}
    for name in MODULES:
        module = importlib.import_module(name)
        record[name] = {"names": star_names(name), "signatures": signatures(module)}
    text = json.dumps(record, indent=1, sort_keys=True)
    # A list a line: a reader looks for a class, not for a parameter.
    text = re.sub(r"\[\s+([^\[\]]*?)\s+\]", lambda m: f"[{' '.join(m[1].split())}]", text)
    TARGET.write_text(text + "\n", encoding="utf-8")
    print(f"{TARGET}: {sum(len(part['names']) for part in record.values())} names")


if __name__ == "__main__":
    main()
