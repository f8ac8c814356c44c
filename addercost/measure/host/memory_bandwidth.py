"""Bytes a second that this machine's cores read from memory."""

from __future__ import annotations

import ctypes
import mmap
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from addercost.measure.host.chains import READ_IR, Compiled
from addercost.measure.host.processor import cache_sizes

PASSES = 7
LEAST_BYTES, MOST_BYTES = 64 << 20, 512 << 20
UNKNOWN_CACHE_BYTES = 32 << 20


def memory_bandwidth(threads: int) -> float | None:
    """Bytes per second that `threads` cores read in order, the best of a few passes.

    None where it cannot be measured.
    """
    try:
        compiled = Compiled(READ_IR)
    except (ImportError, RuntimeError):
        return None
    alone, together = bandwidths(compiled.reader(), cache_sizes(), threads)
    return max(together if threads > 1 else alone)


def bandwidths(
    reader: Callable[[int, int], int], caches: dict[str, int], threads: int
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Bytes per second read in order by one thread, and by all of them from slices of their own: `PASSES`
    samples of each, over four times the last-level cache.

    reader: `reader(address, bytes)` reads memory once.
    """
    last = max(caches.values(), default=UNKNOWN_CACHE_BYTES)
    size = min(max(4 * last, LEAST_BYTES), MOST_BYTES)
    size -= size % (256 * threads)
    with _touched_buffer(size) as address, ThreadPoolExecutor(threads) as pool:
        part = size // threads

        def alone() -> float:
            start = time.perf_counter_ns()
            reader(address, size)
            return size / ((time.perf_counter_ns() - start) * 1e-9)

        def together() -> float:
            start = time.perf_counter_ns()
            list(pool.map(lambda t: reader(address + t * part, part), range(threads)))
            return size / ((time.perf_counter_ns() - start) * 1e-9)

        alone(), together()
        return tuple(alone() for _ in range(PASSES)), tuple(together() for _ in range(PASSES))


@contextmanager
def _touched_buffer(size: int) -> Iterator[int]:
    """The address of `size` bytes, every page present, aligned to a page."""
    with mmap.mmap(-1, size) as buffer:
        view = (ctypes.c_char * size).from_buffer(buffer)
        try:
            ctypes.memset(view, 1, size)
            yield ctypes.addressof(view)
        finally:
            # The mapping cannot be closed while a view of it lives.
            del view
