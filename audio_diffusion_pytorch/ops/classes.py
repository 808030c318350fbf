"""What every part of a method is asked before it is used."""

from __future__ import annotations


def refuse_class(name: str, part: object) -> None:
    """Refuse a class where an object of it is wanted.

    Raises:
        ValueError: If `part`, the argument `name`, is a class.
    """
    if isinstance(part, type):
        kind = part.__name__
        raise ValueError(f"{name} must be an object, got the class {kind}: say {kind}() not {kind}")
