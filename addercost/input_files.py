"""Reads files that users name. Only regular files below a size are read, since a pipe or device would block
and some files are larger than memory.
"""

from __future__ import annotations

import stat
from pathlib import Path

from addercost.errors import DataError

LARGEST_TEXT_BYTES = 1 << 29
"""The largest text file. A text takes several times its size in memory when it is read."""


def read_text(path: Path, hint: str = "check the name") -> str:
    """The text of a file. Raises DataError where it cannot be read, with `hint` where it does not exist."""
    return _decoded(path, read_bytes(path, hint))


def read_bytes(path: Path, hint: str = "check the name", largest: int = LARGEST_TEXT_BYTES) -> bytes:
    """The content of a file. Raises DataError as `read_text` does."""
    check_readable(path, hint, largest)
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from None


def check_readable(path: Path, hint: str = "check the name", largest: int = LARGEST_TEXT_BYTES) -> None:
    """Raises DataError for anything but a regular file, and for a file of more than `largest` bytes."""
    try:
        status = path.stat()
    except FileNotFoundError:
        raise DataError(f"{path} does not exist", hint) from None
    except (OSError, ValueError) as error:
        raise DataError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}") from None
    if stat.S_ISDIR(status.st_mode):
        raise DataError(f"cannot read {path}: Is a directory", "name a file in it")
    if not stat.S_ISREG(status.st_mode):
        raise DataError(f"cannot read {path}: it is a pipe, socket or device", "name a file")
    if status.st_size > largest:
        raise DataError(
            f"cannot read {path}: it has {status.st_size:,} bytes", f"at most {largest:,} are expected here"
        )


def _decoded(path: Path, data: bytes) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise DataError(f"cannot read {path}: {error}") from None
