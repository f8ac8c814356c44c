"""Files of results: written whole or not at all, and over an existing file only on request; read as text."""

from __future__ import annotations

import errno
import os
import sys
import tempfile
from pathlib import Path

from addercost.errors import DataError, OutputError


def check_target(path: Path, force: bool) -> None:
    """Raises OutputError if `path` cannot be written, before any work is done for it."""
    if path.is_dir():
        raise OutputError(f"{path} is a folder", "name a file in it")
    if path.exists() and not force:
        raise OutputError(f"{path} exists", "give --force to replace it, or another name")
    folder = path.parent
    if not folder.is_dir():
        raise OutputError(f"the folder {folder} does not exist", f"make it: mkdir -p {folder}")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OutputError(f"the folder {folder} cannot be written to", "choose another one")


def write_file(path: Path, content: str | bytes, force: bool = False) -> None:
    """Writes under a temporary name beside `path` and renames: a reader sees all of it or nothing.

    Raises OutputError, with nothing left behind, when it exists, or the disk is full or read-only.
    """
    check_target(path, force)
    data = content.encode("utf-8") if isinstance(content, str) else content
    temporary: str | None = None
    try:
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:40]}.", suffix=".tmp")
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o666 & ~_umask())  # noqa: PTH101  (mkstemp makes it private)
        os.replace(temporary, path)  # noqa: PTH105
        temporary = None
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror or error}", _advice(error)) from error
    finally:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)


def read_text(path: Path, hint: str = "check the name") -> str:
    """The text of a file. Raises DataError where it cannot be read, with `hint` where it does not exist."""
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise DataError(f"{path} does not exist", hint) from None
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"cannot read {path}: {error}") from None


def make_folder(folder: Path) -> None:
    """Makes a folder that can be written to. Raises OutputError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make {folder}: {error.strerror}", "name another folder") from None
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OutputError(f"the folder {folder} cannot be written to", "choose another one")


def write_stdout(text: str) -> None:
    """Prints `text`. Raises OutputError when stdout is full; a reader that has gone away is no error."""
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        # Python would complain once more when it closes stdout.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        raise OutputError(f"cannot write to stdout: {error.strerror or error}", _advice(error)) from error


def _advice(error: OSError) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "free some space or choose another disk"
    return "choose another place"


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
