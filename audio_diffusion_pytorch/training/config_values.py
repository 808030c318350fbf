"""Turns one raw setting (text, or a JSON or YAML value) into the type its field asks for."""

from __future__ import annotations

import re
import types
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

_TRUE, _FALSE, _NONE = ("true", "yes", "on", "1"), ("false", "no", "off", "0"), ("none", "null", "")


class WrongTypeError(ValueError):
    """A raw value that its type does not take; the message is the text behind "expected"."""


def convert(raw: Any, hint: Any, text: bool) -> Any:
    """Converts `raw` to the type `hint`.

    Takes bool, int, float, str, Path, None, Literal, unions (the first member that fits),
    `list[X]`, `tuple[X, ...]` and `tuple[X, Y]`.

    Args:
        raw: the value; a str is always tried as text, since YAML reads `2e-4` as a string.
        hint: the type.
        text: whether the source has no types (INI, command line), so that `none` means None and
            quotes around a string are dropped.

    Raises:
        WrongTypeError: `raw` is not of this type.
        TypeError: `hint` itself is not supported.
    """
    if hint is Any:
        return raw
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        return _convert_union(raw, hint, text)
    if origin is Literal:
        return _convert_literal(raw, hint, text)
    if origin in (tuple, list):
        return _convert_sequence(raw, hint, text)
    simple = {bool: _to_bool, int: _to_int, float: _to_float, type(None): _to_none}
    if hint in simple:
        return simple[hint](_unquoted(raw) if text else raw)
    if hint in (str, Path):
        if not isinstance(raw, str):
            raise WrongTypeError(f"{type_name(hint)} (put it in quotes)")
        raw = _unquoted(raw) if text else raw
        return raw if hint is str else Path(raw).expanduser()
    raise TypeError(f"config fields cannot have the type {type_name(hint)}")


def type_name(hint: Any) -> str:
    """The type in words for messages and help, such as `int or none`, `list of int`."""
    origin, arguments = get_origin(hint), get_args(hint)
    if hint is type(None) or hint is None:
        return "none"
    if origin in (Union, types.UnionType):
        return " or ".join(type_name(argument) for argument in arguments)
    if origin is Literal:
        return "one of " + ", ".join(str(value) for value in arguments)
    if origin is list or (origin is tuple and len(arguments) == 2 and arguments[1] is Ellipsis):
        return f"list of {type_name(arguments[0])}"
    if origin is tuple:
        return "list of " + ", ".join(type_name(argument) for argument in arguments)
    if hint is Path:
        return "path"
    return str(getattr(hint, "__name__", hint))


def _unquoted(raw: Any) -> Any:
    if isinstance(raw, str) and len(raw) >= 2 and raw[0] == raw[-1] and raw[0] in "\"'":
        return raw[1:-1]
    return raw


def _to_bool(raw: Any) -> bool:
    if isinstance(raw, bool):
        return raw
    word = raw.strip().lower() if isinstance(raw, str) else ""
    if word in _TRUE or word in _FALSE:
        return word in _TRUE
    raise WrongTypeError("bool (true or false)")


def _to_int(raw: Any) -> int:
    if isinstance(raw, int) and not isinstance(raw, bool):
        return raw
    if isinstance(raw, str):
        try:
            return int(raw)
        except ValueError:
            # 1e5 is a fair way to say 100000; 1.0 is not an int.
            raw = float(raw) if re.fullmatch(r"\s*[+-]?\d+e\+?\d+\s*", raw.lower()) else None
    if isinstance(raw, float) and raw.is_integer():
        return int(raw)
    raise WrongTypeError("int")


def _to_float(raw: Any) -> float:
    if isinstance(raw, bool) or not isinstance(raw, int | float | str):
        raise WrongTypeError("float")
    try:
        return float(raw)
    except (ValueError, OverflowError):
        raise WrongTypeError("float") from None


def _to_none(raw: Any) -> None:
    if raw is not None and not (isinstance(raw, str) and raw.strip().lower() in _NONE):
        raise WrongTypeError("none")


def _convert_union(raw: Any, hint: Any, text: bool) -> Any:
    members = get_args(hint)
    if type(None) in members:
        # A typed source says null; the word "none" is then a name like any other.
        holds_text = str in members or Path in members
        if raw is None or ((text or not holds_text) and _is_none_word(raw)):
            return None
    if not text and type(raw) in members:  # `int | str` keeps a quoted "5" a text
        return raw
    for member in members:
        if member is type(None):
            continue
        try:
            return convert(raw, member, text)
        except WrongTypeError:
            continue
    raise WrongTypeError(type_name(hint))


def _is_none_word(raw: Any) -> bool:
    return isinstance(raw, str) and raw.strip().lower() in _NONE


def _convert_literal(raw: Any, hint: Any, text: bool) -> Any:
    raw = _unquoted(raw) if text else raw
    for value in get_args(hint):
        if type(raw) is type(value) and raw == value:
            return value
    for value in get_args(hint):
        if isinstance(raw, str) and raw == str(value):
            return value
        # YAML reads a bare `off` as False, a bare `on` as True.
        if isinstance(raw, bool) and value == ("on" if raw else "off"):
            return value
    raise WrongTypeError(type_name(hint))


def _convert_sequence(raw: Any, hint: Any, text: bool) -> Any:
    if isinstance(raw, str):
        raw, text = _split(raw), True
    if not isinstance(raw, list | tuple):
        raise WrongTypeError(type_name(hint))
    arguments = get_args(hint)
    fixed = get_origin(hint) is tuple and not (len(arguments) == 2 and arguments[1] is Ellipsis)
    if fixed and len(raw) != len(arguments):
        raise WrongTypeError(f"{type_name(hint)} ({len(arguments)} values)")
    hints = arguments if fixed else [arguments[0]] * len(raw)
    try:
        values = [convert(item, of, text) for item, of in zip(raw, hints, strict=True)]
    except WrongTypeError:
        raise WrongTypeError(type_name(hint)) from None
    return values if get_origin(hint) is list else tuple(values)


def _split(raw: str) -> list[str]:
    """`1, 4`, `[1, 4]` and `(1, 4)` as parts; commas inside brackets or quotes do not split."""
    raw = raw.strip()
    if raw[:1] + raw[-1:] in ("[]", "()"):
        raw = raw[1:-1].strip()
    parts, depth, quote = [""], 0, ""
    for character in raw:
        if quote:
            quote = "" if character == quote else quote
        elif character in "\"'" and not parts[-1].strip():
            quote = character
        depth += (character in "[(") - (character in "])") if not quote else 0
        if character == "," and depth == 0 and not quote:
            parts.append("")
        else:
            parts[-1] += character
    if not parts[-1].strip():  # an empty value, or a comma at the end
        parts.pop()
    return [part.strip() for part in parts]
