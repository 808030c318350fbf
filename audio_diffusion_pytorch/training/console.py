"""Keeps a copy of the console in a file."""

from __future__ import annotations

import contextlib
import re
import sys
import threading
import traceback
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, TextIO, cast

_ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class _Tee:
    """A text stream that also writes whole lines to a log.

    A progress bar redraws its line with carriage returns: only its last state reaches the log.
    """

    def __init__(self, stream: TextIO, log: TextIO, lock: threading.RLock) -> None:
        self._stream, self._log, self._lock = stream, log, lock
        self._line = ""

    def write(self, text: str) -> int:
        self._stream.write(text)
        with self._lock:
            *done, self._line = (self._line + text).split("\n")
            # A blank redraw (a bar being wiped) must not eat the text before it was logged.
            self._line = _after_return(self._line)
            if done:
                self.log_only("".join(f"{_visible(line)}\n" for line in done))
        return len(text)

    def writelines(self, lines: list[str]) -> None:
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        self._stream.flush()

    def finish(self) -> None:
        """Logs what stands on an unfinished line."""
        with self._lock:
            line = _visible(self._line)
            if line.strip():
                self.log_only(line + "\n")
            self._line = ""

    def log_only(self, text: str) -> None:
        """Writes to the log and not to the console."""
        # A full disk must stop the run where it saves, with its own message, not in a print.
        with contextlib.suppress(OSError, ValueError):
            self._log.write(text)
            self._log.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _after_return(line: str) -> str:
    """Keeps the last redraw and what may still follow it, so that a line never grows for hours."""
    parts = line.split("\r")
    return "\r".join(parts[-2:])


def _visible(line: str) -> str:
    """The text a terminal would show at the end: after the last carriage return that was filled."""
    parts = [part for part in _ESCAPE.sub("", line).split("\r") if part.strip()]
    return parts[-1].rstrip() if parts else ""


@contextlib.contextmanager
def tee_console(path: str | Path) -> Iterator[None]:
    """Inside it, what Python writes to stdout and stderr also goes to the end of `path`.

    An error that ends the block is logged with its traceback, whatever the console shows.

    Raises:
        OSError: the file cannot be opened.
    """
    log = open(path, "a", encoding="utf-8", errors="backslashreplace")  # noqa: SIM115
    lock = threading.RLock()
    outer = sys.stdout, sys.stderr
    tees = _Tee(outer[0], log, lock), _Tee(outer[1], log, lock)
    tees[0].log_only(f"--- {datetime.now():%Y-%m-%d %H:%M:%S} ---\n")
    sys.stdout, sys.stderr = cast(TextIO, tees[0]), cast(TextIO, tees[1])
    try:
        yield
    except BaseException:
        for tee in tees:
            tee.finish()
        tees[1].log_only(traceback.format_exc())
        raise
    finally:
        sys.stdout, sys.stderr = outer
        for tee in tees:
            tee.finish()
        with contextlib.suppress(OSError):
            log.close()
