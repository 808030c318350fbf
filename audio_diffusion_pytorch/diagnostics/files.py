"""Writes a file so that a crash or a full disk never leaves half of it."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path


def write_aside(path: str | Path, content: str | bytes) -> None:
    r"""Writes `content` beside `path`, then renames it: the old or the new file stands, never half.

    Args:
        path: the file; its folder must exist.
        content: text (written as UTF-8; bytes of file names that are no text as `\udc80`) or bytes.

    Raises:
        OSError: the folder is missing or the disk is full; what stood at `path` is untouched.
    """
    path = Path(path)
    data = content.encode("utf-8", "backslashreplace") if isinstance(content, str) else content
    aside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(aside, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(aside, path)
    except BaseException as error:
        with contextlib.suppress(OSError):
            aside.unlink(missing_ok=True)
        if isinstance(error, OSError) and str(error.filename) in ("None", str(aside)):
            raise OSError(error.errno, error.strerror, str(path)) from error
        raise
