"""Settings of the child process for itself: its memory limit and its garbage collection."""

from __future__ import annotations

import contextlib
import gc


def limit_memory(limit_bytes: int) -> None:
    """Limits the resident private memory to about `limit_bytes`. Allocations beyond it raise MemoryError."""
    import resource

    private, resident = 0, 0
    with contextlib.suppress(OSError), open("/proc/self/status", encoding="ascii") as status:  # noqa: PTH123
        for line in status:
            if line.startswith("VmData:"):
                private = int(line.split()[1]) * 1024
            elif line.startswith("VmRSS:"):
                resident = int(line.split()[1]) * 1024
    # Memory that is mapped but not yet used, such as the stacks of threads, does not count.
    soft = max(limit_bytes + private - resident, private + (64 << 20))
    resource.setrlimit(resource.RLIMIT_DATA, (soft, resource.getrlimit(resource.RLIMIT_DATA)[1]))


def collect_garbage_rarely() -> None:
    """Makes garbage collection rare. Ten thousand blocks are kept, which have no reference cycles, and
    searching them takes long.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 50, 100)
