"""Lets one process at a time work in a folder or on a document, by locks that the system frees when the
process ends.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from addercost.errors import OutputError
from addercost.results.files import make_folder

_WAIT_S, _POLL_S = 2.0, 0.05
"""How long, and how often, to try for a lock: a killed process may still have its locks for a while."""

_TEMPORARY = re.compile(r"\..+\.\d+-[0-9a-f]{8}\.tmp")
"""The temporary names that `results.files.write_file` uses."""

_held: set[int] = set()


@contextmanager
def own_folder(folder: Path) -> Iterator[None]:
    """Makes the folder and keeps other processes out of it inside the block. Removes half-written files of a
    killed process.

    A folder that was made here and is empty at the end is removed. Raises OutputError where another process
    works in it, or it cannot be made.
    """
    made = [each for each in (folder, *folder.parents) if not os.path.lexists(each)]
    make_folder(folder)
    try:
        with _locked(folder, os.O_RDONLY):
            for each in folder.iterdir():
                if _TEMPORARY.fullmatch(each.name):
                    each.unlink(missing_ok=True)
            yield
    finally:
        for each in made:
            with contextlib.suppress(OSError):
                each.rmdir()


@contextmanager
def own_file(path: Path) -> Iterator[None]:
    """Keeps other processes from the file inside the block. A missing file is made, and removed if it stays
    empty.

    Raises OutputError where another process works on it, or it cannot be made.
    """
    made = not os.path.lexists(path)
    with _locked(path, os.O_RDWR | os.O_CREAT):
        try:
            yield
        finally:
            with contextlib.suppress(OSError):
                if made and not path.stat().st_size:
                    path.unlink()


@contextmanager
def _locked(path: Path, flags: int) -> Iterator[None]:
    try:
        import fcntl
    except ImportError:
        yield
        return
    try:
        descriptor = os.open(path, flags, 0o666)
    except OSError as error:
        raise OutputError(f"cannot open {path}: {error.strerror}", "choose another name") from None
    _held.add(descriptor)
    try:
        deadline_s = time.monotonic() + _WAIT_S
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline_s:
                    raise _taken(path) from None
                time.sleep(_POLL_S)
            except OSError as error:
                if error.errno in (errno.ENOLCK, errno.EBADF, errno.ENOTSUP, errno.EINVAL):
                    break  # a file system without locks
                raise
        if not _is_there(path, descriptor):
            raise _taken(path)
        yield
    finally:
        _held.discard(descriptor)
        os.close(descriptor)


def _taken(path: Path) -> OutputError:
    return OutputError(f"another call works on {path}", "wait until it has ended, or choose another name")


def _is_there(path: Path, descriptor: int) -> bool:
    """Whether the path still names the opened file. The process that had the lock may have removed it when it
    ended.
    """
    try:
        return os.path.samestat(os.stat(path), os.fstat(descriptor))  # noqa: PTH116
    except OSError:
        return False


def _release_in_child() -> None:
    """Releases the lock in a forked child, which would otherwise keep it after its parent has ended."""
    for descriptor in _held:
        os.close(descriptor)
    _held.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_release_in_child)
