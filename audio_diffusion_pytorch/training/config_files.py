"""Reads a settings file (INI, JSON, YAML) into nested dictionaries; errors name the line."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

SUFFIXES = (".ini", ".json", ".yaml", ".yml")


class ConfigError(ValueError):
    """A setting that cannot be used; its message is one line that names the key or the file."""


def read_config_file(path: str | Path) -> tuple[dict[str, Any], bool]:
    """Reads a settings file.

    Args:
        path: a file whose name ends in `.ini`, `.json`, `.yaml` or `.yml`, in UTF-8.

    Returns:
        The nested dictionary, and whether its values are bare text (INI) that has no types yet.

    Raises:
        ConfigError: the file is missing, unreadable, of another kind, or its syntax is broken.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise ConfigError(
            f"config file '{path}': unknown kind '{path.suffix}', expected {', '.join(SUFFIXES)}"
        )
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise ConfigError(f"config file '{path}' does not exist; check the path") from None
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"config file '{path}' is not UTF-8 text (byte {error.start}); save it as UTF-8"
        ) from None
    except OSError as error:
        raise ConfigError(f"config file '{path}' cannot be read: {error.strerror}") from None
    if suffix == ".ini":
        return _read_ini(text, path), True
    values = _read_json(text, path) if suffix == ".json" else _read_yaml(text, path)
    if values is None:
        return {}, False
    if not isinstance(values, dict):
        raise ConfigError(
            f"config file '{path}': expected sections with keys, got a {type(values).__name__}"
        )
    return values, False


def _broken(path: Path, line: int, reason: str) -> ConfigError:
    return ConfigError(f"config file '{path}', line {line}: {reason}")


def _read_ini(text: str, path: Path) -> dict[str, Any]:
    """Own reader, since `configparser` drops a key written behind `[section]` without a word."""
    values: dict[str, Any] = {}
    section = values
    last_key: str | None = None
    for number, raw in enumerate(text.splitlines(), start=1):
        line = _without_comment(raw).strip()
        if not line:
            continue
        if raw[0].isspace() and last_key is not None:  # an indented line continues a value
            section[last_key] = f"{section[last_key]} {line}".strip()
            continue
        if line.startswith("["):
            section, last_key = _open_section(values, line, path, number), None
            continue
        marks = [line.index(mark) for mark in "=:" if mark in line]
        key = line[: min(marks)].strip() if marks else ""
        if not key:
            raise _broken(path, number, f"expected 'key = value' or '[section]', got '{line}'")
        if key in section:
            raise _broken(path, number, f"key '{key}' is given twice in this section")
        section[key] = line[min(marks) + 1 :].strip()
        last_key = key
    return values


def _open_section(values: dict[str, Any], line: str, path: Path, number: int) -> dict[str, Any]:
    name, bracket, rest = line[1:].partition("]")
    if not bracket or not name.strip() or rest.strip():
        raise _broken(path, number, f"expected '[section]' alone on its line, got '{line}'")
    section = values
    for part in name.strip().split("."):
        section = section.setdefault(part, {})
        if not isinstance(section, dict):
            raise _broken(path, number, f"section '{name.strip()}' is also given as a key")
    return section


def _without_comment(line: str) -> str:
    """Cuts a comment: `;` or `#` at the start or after a blank, outside quotes."""
    quote = ""
    for index, character in enumerate(line):
        blank_before = index == 0 or line[index - 1].isspace()
        if quote:
            quote = "" if character == quote else quote
        elif character in "\"'" and (blank_before or line[index - 1] in "=:,[("):
            quote = character if line.count(character, index) > 1 else ""
        elif character in ";#" and blank_before:
            return line[:index]
    return line


def _read_json(text: str, path: Path) -> Any:
    def unique(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, value in pairs:
            if key in found:
                raise ConfigError(f"config file '{path}': key '{key}' is given twice")
            found[key] = value
        return found

    if not text.strip():
        return None
    try:
        return json.loads(text, object_pairs_hook=unique)
    except json.JSONDecodeError as error:
        raise _broken(path, error.lineno, f"broken JSON: {error.msg}") from None


def _read_yaml(text: str, path: Path) -> Any:
    import yaml

    class UniqueKeyLoader(yaml.SafeLoader):
        """Refuses a key that stands twice in one mapping; plain YAML takes the last silently."""

        def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
            seen = set()
            for key_node, _ in node.value:
                if key_node.value in seen and isinstance(key_node, yaml.ScalarNode):
                    line = key_node.start_mark.line + 1
                    raise _broken(path, line, f"key '{key_node.value}' is given twice")
                if isinstance(key_node, yaml.ScalarNode):
                    seen.add(key_node.value)
            return super().construct_mapping(node, deep)

    try:
        return yaml.load(text, Loader=UniqueKeyLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise _broken(path, mark.line + 1 if mark else 1, f"broken YAML: {error.problem}") from None
    except yaml.YAMLError as error:
        raise ConfigError(
            f"config file '{path}': broken YAML: {' '.join(str(error).split())}"
        ) from None


def flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested dictionaries as `{"train.max_steps": value}`; an empty dictionary adds nothing."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            flat.update(flatten(value, f"{prefix}{key}."))
        else:
            flat[f"{prefix}{key}"] = value
    return flat
