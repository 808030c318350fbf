"""Settings as typed dataclasses: defaults, then a file, then `key=value` from the command line."""

from __future__ import annotations

import dataclasses
import difflib
import inspect
import re
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePath
from typing import Any, NamedTuple, TypeVar, get_type_hints

from audio_diffusion_pytorch.diagnostics.files import write_aside

from .config_files import ConfigError as ConfigError
from .config_files import flatten, read_config_file
from .config_values import WrongTypeError, convert, type_name

T = TypeVar("T")


class ConfigKey(NamedTuple):
    """One setting of a schema: its full path `section.name`, type, default and help text."""

    path: str
    hint: Any
    default: Any  # dataclasses.MISSING: must be given
    help: str


class _Raw(NamedTuple):
    value: Any
    text: bool  # from a source without types
    source: str  # " in FILE", or "" for the command line


def load_config(
    schema: type[T],
    file: str | Path | None = None,
    overrides: Sequence[str] = (),
    *,
    base: T | None = None,
) -> T:
    """Builds a `schema` from its defaults, then `file`, then `overrides`; the last one wins.

    Args:
        schema: a dataclass whose fields are settings or further dataclasses (sections). Types:
            bool, int, float, str, Path, Literal, unions with None, `tuple[X, ...]`, `list[X]`.
        file: an INI, JSON or YAML file; its sections are the top-level fields.
        overrides: `key=value` words, such as `train.max_steps=100`.
        base: values to start from in place of the defaults (those of a run that is resumed).

    Raises:
        ConfigError: an unknown key, a value of the wrong type, a missing value, or a file that
            cannot be read; one line that names the key or the file.
    """
    given = read_settings(schema, file, overrides)
    return _build(schema, "", given, base)


def read_settings(
    schema: type[Any], file: str | Path | None = None, overrides: Sequence[str] = ()
) -> dict[str, _Raw]:
    """The raw settings by full key, file first, each key checked to be one of the schema's."""
    given: dict[str, _Raw] = {}
    if file is not None:
        values, text = read_config_file(file)
        source = f" in '{file}'"
        given.update({k: _Raw(v, text, source) for k, v in flatten(values).items()})
    for override in overrides:
        key, mark, value = override.partition("=")
        if not mark or not key.strip():
            raise ConfigError(f"expected key=value such as train.max_steps=100, got '{override}'")
        given[key.strip()] = _Raw(value.strip(), True, "")
    known = config_keys(schema)
    sections = {path.rpartition(".")[0] for path in known}
    for path, raw in list(given.items()):
        if path in known:
            continue
        if any(section == path or section.startswith(f"{path}.") for section in sections):
            if raw.value is None:  # an empty section of a YAML file
                del given[path]
                continue
            first = next(key for key in known if key.startswith(f"{path}."))
            raise ConfigError(
                f"config key '{path}'{raw.source} is a section: give its keys, such as {first}=..."
            )
        raise ConfigError(f"unknown config key '{path}'{raw.source}{suggestion(path, known)}")
    return given


def suggestion(path: str, known: Mapping[str, Any] | Sequence[str]) -> str:
    """What `path` may have meant: `; did you mean '...'?`, or the names that are there."""
    section, _, name = path.rpartition(".")
    same_name = [key for key in known if key.rpartition(".")[2] == name]
    if same_name:
        return f"; did you mean '{same_name[0]}'?"
    siblings = [key for key in known if key.rpartition(".")[0] == section]
    names = {key.rpartition(".")[2]: key for key in siblings}
    close = [key for n, key in names.items() if "".join(w[:1] for w in n.split("_")) == name]
    close += [names[n] for n in difflib.get_close_matches(name, list(names), 1, 0.6)]
    close += difflib.get_close_matches(path, list(known), 1, 0.6)
    if not close:
        anywhere = {key.rpartition(".")[2]: key for key in known}
        close = [anywhere[n] for n in difflib.get_close_matches(name, list(anywhere), 1, 0.6)]
    close += [key for key in siblings if len(name) > 1 and name in key.rpartition(".")[2]]
    if close:
        return f"; did you mean '{close[0]}'?"
    sections = {key.partition(".")[0]: None for key in known if "." in key}
    choice = sorted(siblings) if siblings and section else list(sections)
    return f"; known: {', '.join(choice)}" if choice else ""


def convert_setting(path: str, raw: _Raw, hint: Any) -> Any:
    """The typed value of one raw setting."""
    try:
        return convert(raw.value, hint, raw.text)
    except WrongTypeError as error:
        raise ConfigError(
            f"config key '{path}': expected {error}, got {raw.value!r}{raw.source}"
        ) from None


def _build(schema: type[T], prefix: str, given: Mapping[str, _Raw], base: T | None) -> T:
    hints = get_type_hints(schema)
    values: dict[str, Any] = {}
    for field in dataclasses.fields(schema):  # type: ignore[arg-type]
        if not field.init:
            continue
        path = f"{prefix}{field.name}"
        default = _default(field) if base is None else getattr(base, field.name)
        if dataclasses.is_dataclass(hints[field.name]):
            nested = None if default is dataclasses.MISSING else default
            values[field.name] = _build(hints[field.name], f"{path}.", given, nested)
        elif path in given:
            values[field.name] = convert_setting(path, given[path], hints[field.name])
        elif default is dataclasses.MISSING:
            raise ConfigError(f"config key '{path}' has no value: give {path}=...")
        else:
            values[field.name] = default
    try:
        return schema(**values)
    except ConfigError:
        raise
    except ValueError as error:  # a check of the dataclass itself, in __post_init__
        where = f"section '{prefix[:-1]}'" if prefix else "config"
        raise ConfigError(f"{where}: {error}") from error


def _default(field: dataclasses.Field[Any]) -> Any:
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return field.default


def config_keys(schema: type[Any], prefix: str = "", base: Any = None) -> dict[str, ConfigKey]:
    """Every setting of `schema` by its full path, in the order of the fields."""
    hints = get_type_hints(schema)
    helps = _docstring_helps(schema)
    keys: dict[str, ConfigKey] = {}
    for field in dataclasses.fields(schema):
        if not field.init:
            continue
        path = f"{prefix}{field.name}"
        default = _default(field) if base is None else getattr(base, field.name)
        if dataclasses.is_dataclass(hints[field.name]):
            nested = None if default is dataclasses.MISSING else default
            keys.update(config_keys(hints[field.name], f"{path}.", nested))
        else:
            text = str(field.metadata.get("help", helps.get(field.name, "")))
            keys[path] = ConfigKey(path, hints[field.name], default, text)
    return keys


def _docstring_helps(schema: type[Any]) -> dict[str, str]:
    """The `name: text` entries of a class docstring, continuation lines joined."""
    names = {field.name for field in dataclasses.fields(schema)}
    helps: dict[str, str] = {}
    current, indent = "", 0
    for line in inspect.cleandoc(schema.__doc__ or "").splitlines():
        depth = len(line) - len(line.lstrip())
        entry = re.match(r"\s*(\w+)(?: \([^)]*\))?: (.+)", line)
        if entry and entry[1] in names:
            current, indent = entry[1], depth
            helps[current] = entry[2].strip()
        elif current and line.strip() and depth > indent:
            helps[current] += f" {line.strip()}"
        else:
            current = ""
    return helps


def config_text(schema: type[Any], width: int = 96) -> str:
    """The help of a schema: every key with its type, default and help text."""
    keys = config_keys(schema)
    column = min(34, max((len(path) for path in keys), default=0)) + 4
    lines: list[str] = []
    section = None
    for key in keys.values():
        if key.path.partition(".")[0] != section and "." in key.path:
            section = key.path.partition(".")[0]
            lines += ["", f"[{section}]"]
        needed = key.default is dataclasses.MISSING
        default = "must be given" if needed else f"default {_shown(key.default)}"
        text = f"{type_name(key.hint)}; {default}." + (f" {key.help}" if key.help else "")
        wrapped = textwrap.wrap(text, width=max(20, width - column)) or [""]
        head = f"  {key.path}".ljust(column)
        if len(head) > column:
            lines.append(head)
            head = " " * column
        lines.append(head + wrapped[0])
        lines += [" " * column + line for line in wrapped[1:]]
    return "\n".join(lines).strip("\n")


def _shown(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(_shown(item) for item in value) or "(empty)"
    if value is None or isinstance(value, bool):
        return str(value).lower()
    return "''" if value == "" else str(value)


def config_to_dict(config: Any) -> dict[str, Any]:
    """A config as plain values (dict, list, str, int, float, bool, None), ready for any file."""
    if not dataclasses.is_dataclass(config) or isinstance(config, type):
        raise TypeError(f"expected a config dataclass, got {type(config).__name__}")
    return {
        field.name: _plain(getattr(config, field.name))
        for field in dataclasses.fields(config)
        if field.init
    }


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return config_to_dict(value)
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, PurePath):
        return value.as_posix()
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(f"a config cannot hold a {type(value).__name__}")


def save_config(config: Any, path: str | Path) -> None:
    """Writes `config` as YAML that `load_config` reads back to an equal object.

    Raises:
        TypeError: a value is not one of the types a config can hold.
        OSError: the file cannot be written; an earlier one is left as it was.
    """
    import yaml

    plain = config_to_dict(config)
    text = yaml.safe_dump(plain, sort_keys=False, allow_unicode=True, width=1000)
    if any(mark in text for mark in "\x85\u2028\u2029"):  # line breaks that PyYAML would lose
        text = yaml.safe_dump(plain, sort_keys=False, width=1000)
    write_aside(path, text)
