"""Errors about sound files that stay one readable line, even out of a DataLoader worker."""

from __future__ import annotations

import re

REMEDY = "remove it or set data.bad=skip"

_LAST_EXCEPTION = re.compile(r"^(?:[\w.]+\.)?\w+(?:Error|Exception|Interrupt): ?(.*)$")


class AudioFileError(ValueError):
    """A sound file cannot be used: the message names the file, the fault and the remedy.

    A DataLoader worker's error reaches the main process as the same class with a whole traceback
    for its message; this class takes its last line back out, so that `str(error)` is one line
    everywhere, and keeps the traceback in `details`.
    """

    def __init__(self, message: str) -> None:
        super().__init__(last_error_line(message))
        self.details = message


def last_error_line(message: str) -> str:
    """The message itself, or, when it holds a traceback, what its last error line says."""
    if "\nOriginal Traceback" not in message:
        return message
    for line in reversed(message.strip().splitlines()):
        found = _LAST_EXCEPTION.match(line)
        if found:
            return found.group(1)
    return message


def one_line_cause(error: BaseException) -> str:
    """One line that says why: for any exception, also one re-raised from a DataLoader worker."""
    text = last_error_line(str(error)).strip()
    return text.splitlines()[0] if text else type(error).__name__
