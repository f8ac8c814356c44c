"""Memory of this process and of the machine, from Linux."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from pathlib import Path


def peak_bytes(call: Callable[[], object], warm: bool = True) -> int | None:
    """How far the resident set rises during a call above its size before; None where Linux does not say.

    warm: run the call once before, so that it has loaded and compiled what it needs.
    """
    resets = Path("/proc/self/clear_refs")
    try:
        if warm:
            call()
        # Freed memory still in the process would hide what the call needs.
        ctypes.CDLL(None).malloc_trim(0)
        resets.write_text("5")
        before = _status_bytes("VmRSS")
        call()
        return max(0, _status_bytes("VmHWM") - before)
    except (OSError, AttributeError, StopIteration):
        return None


def peak_resident_bytes() -> int | None:
    """The largest resident set since this program began; None where Linux does not say.

    The figure of `getrusage` includes the process that started this one.
    """
    try:
        return _status_bytes("VmHWM")
    except (OSError, StopIteration):
        return None


def keep_freed_memory() -> bool:
    """Makes glibc reuse a freed output for the next call, for every contender alike: the page faults of fresh
    memory for each output are no property of a kernel. Returns whether it did; `peak_bytes` is meaningless
    afterwards."""
    try:
        libc = ctypes.CDLL(None)
        mmap_threshold, trim_threshold = -3, -1
        return bool(libc.mallopt(mmap_threshold, 32 << 20) and libc.mallopt(trim_threshold, 1 << 30))
    except (OSError, AttributeError):
        return False


def available_bytes(meminfo: Path = Path("/proc/meminfo")) -> int | None:
    """Memory that can be allocated without swapping."""
    try:
        return _field(meminfo.read_text(), "MemAvailable")
    except (OSError, StopIteration):
        return None


def _status_bytes(name: str) -> int:
    return _field(Path("/proc/self/status").read_text(), name)


def _field(text: str, name: str) -> int:
    line = next(row for row in text.splitlines() if row.startswith(f"{name}:"))
    return int(line.split()[1]) * 1024
