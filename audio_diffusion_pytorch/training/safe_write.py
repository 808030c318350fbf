"""Writing a large file so that kill -9 or a full disk leave the old one whole."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO


class _Watched:
    """A binary file that remembers the first error of a write: torch reports another one."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self.error: OSError | None = None

    def write(self, data: bytes) -> int:
        try:
            return self.file.write(data)
        except OSError as error:
            self.error = self.error or error
            raise

    def flush(self) -> None:
        self.file.flush()


def write_aside(path: str | Path, write: Callable[[Any], object]) -> Path:
    """Write a file so that `path` holds either its old content or all of the new.

    The new content goes to a file beside it, reaches the disk (fsync), and is then renamed.

    Args:
        path: The file to write; its folder is made.
        write: Called with an open binary file.

    Raises:
        OSError: The disk is full or refuses; the partial file is gone and `path` unharmed.
    """
    path = Path(path)
    aside = path.with_name(f".{path.name}.{os.getpid()}.partial")
    watched: _Watched | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(aside, "wb") as file:
            watched = _Watched(file)
            write(watched)
            file.flush()
            os.fsync(file.fileno())
        os.replace(aside, path)
    except BaseException as error:
        cause = (watched.error if watched else None) or error
        written = 0
        with suppress(OSError):
            written = aside.stat().st_size
            aside.unlink()
        if isinstance(cause, OSError):
            raise _saving_error(path, cause, written) from error
        raise
    return path


def _saving_error(path: Path, cause: OSError, written: int) -> OSError:
    number = cause.errno or errno.EIO
    folder = next((parent for parent in path.parents if parent.is_dir()), Path("."))
    megabytes = shutil.disk_usage(folder).free / 1e6
    reason = os.strerror(number).lower()
    if number in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        remedy = "free space or choose another train.runs"
    else:
        remedy = "make the folder writable or choose another train.runs"
    return OSError(
        number,
        f"cannot save {path}: {reason} after {written / 1e6:.1f} MB ({megabytes:.1f} MB free); "
        f"{remedy}, then go on with --resume: earlier checkpoints are unharmed",
    )
