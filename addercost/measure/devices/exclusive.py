"""Lets only one process at a time measure on a device."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from addercost.errors import OutputError
from addercost.hardware.loader import host_file


@contextmanager
def exclusive(device: str) -> Iterator[None]:
    """Waits until no other measurement of this user runs on `device`, and makes others wait until the block
    ends.

    It locks a file in the user's cache folder. The system releases the lock when the process ends in any way.
    Where the system has no such locks, nothing is locked. Raises OutputError for a cache folder that cannot
    be written to.
    """
    try:
        import fcntl
    except ImportError:
        yield
        return
    path = host_file().with_name(f"measuring-{device}.lock")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("w")
    except OSError as error:
        raise OutputError(
            f"cannot open {path}: {error.strerror}", "set XDG_CACHE_HOME to a folder of yours"
        ) from None
    with file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
