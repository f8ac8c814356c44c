"""Writes files of results: completely or not at all, and over an existing file only on request.

Only regular files are written. A symbolic link is followed: the file that it names is replaced, and the link
stays.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from pathlib import Path

from addercost.errors import OutputError


def check_target(path: Path, force: bool) -> None:
    """Raises OutputError if `path` cannot be written. It is called before any work is done."""
    mode = _mode(path)
    if mode is not None:
        if stat.S_ISDIR(mode):
            raise OutputError(f"{path} is a folder", "name a file in it")
        if not stat.S_ISREG(mode):
            raise OutputError(
                f"{path} is a {_special_kind(mode)}, which is not replaced by a file",
                "name a file, or leave the option away to print the result",
            )
        if not force:
            raise OutputError(f"{path} exists", "give --force to replace it, or another name")
    folder = _written(path).parent
    if not folder.is_dir():
        raise OutputError(f"the folder {folder} does not exist", f"make it: mkdir -p {folder}")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OutputError(f"the folder {folder} cannot be written to", "choose another one")


def write_file(path: Path, content: str | bytes, force: bool = False) -> None:
    """Writes a file under a temporary name beside `path` and renames it, so that a reader sees all of it or
    nothing.

    A replaced file's permissions are kept; a new file's follow the umask. Raises OutputError, with nothing
    left behind, where the file exists (unless `force`), is no regular file, or the disk is full or read-only.
    """
    from addercost.supervision import note

    check_target(path, force)
    data = content.encode("utf-8") if isinstance(content, str) else content
    target = _written(path)
    # Noted before the file exists, so that it is removed after a signal at any moment.
    temporary = target.with_name(f".{target.name[:40]}.{os.getpid()}-{os.urandom(4).hex()}.tmp")
    note("temporary", temporary.absolute())
    try:
        before = _mode(target)
        with temporary.open("xb") as file:
            file.write(data)
            file.flush()
            if before is not None:
                os.fchmod(file.fileno(), stat.S_IMODE(before))
            os.fsync(file.fileno())
        os.replace(temporary, target)  # noqa: PTH105
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror or error}", advice(error)) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def _written(path: Path) -> Path:
    """The file that is replaced: the target of a symbolic link, else `path`."""
    return path.resolve() if path.is_symlink() else path


def _mode(path: Path) -> int | None:
    """The mode (kind and permissions) of the file that `path` names, with links followed; None where there is
    no file. Raises OutputError.
    """
    try:
        return path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise OutputError(f"cannot write {path}: {reason}", "choose another name") from None


def _special_kind(mode: int) -> str:
    if stat.S_ISFIFO(mode):
        return "FIFO"
    return "socket" if stat.S_ISSOCK(mode) else "device"


def make_folder(folder: Path) -> None:
    """Makes a folder. Raises OutputError where it cannot be made or written to."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make {folder}: {error.strerror}", "name another folder") from None
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OutputError(f"the folder {folder} cannot be written to", "choose another one")


def advice(error: OSError) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "free some space or choose another disk"
    return "choose another place"
