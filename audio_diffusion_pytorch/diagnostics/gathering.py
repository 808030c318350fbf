"""Many checks, one after the other, so that none hides another."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import ParamSpec

from .finding import Finding

Arguments = ParamSpec("Arguments")
_FAILURES: ContextVar[list[str] | None] = ContextVar("failures", default=None)


def attempt(
    check: Callable[Arguments, Finding | list[Finding] | None],
    /,
    *args: Arguments.args,
    **kwargs: Arguments.kwargs,
) -> list[Finding]:
    """Make a check; return its finding or findings, or nothing where it says nothing.

    Inside `noting_failures` an error of it becomes a note; elsewhere it goes up as it is.

    Args:
        check: Makes a finding, or some.
        *args: For the check.
        **kwargs: For the check.
    """
    try:
        found = check(*args, **kwargs)
    except Exception as error:  # a check must never hide what the others find
        failures = _FAILURES.get()
        if failures is None:
            raise
        words = getattr(check, "__name__", str(check)).strip("_").replace("_", " ")
        failures.append(failure(words.removeprefix("check "), error))
        return []
    if isinstance(found, Finding):
        return [found]
    return found or []


@contextmanager
def noting_failures() -> Iterator[list[str]]:
    """Within this context checks that fail are noted in the list that it gives."""
    failures: list[str] = []
    token = _FAILURES.set(failures)
    try:
        yield failures
    finally:
        _FAILURES.reset(token)


def failure(name: str, error: Exception) -> str:
    """Return the note on something that could not be examined, in one line."""
    words = " ".join(str(error).split()) or "no words"
    return f"{name}: could not be examined ({type(error).__name__}: {words})"
