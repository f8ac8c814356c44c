"""Measures how many bytes a second this machine's cores read from each cache and from memory."""

from __future__ import annotations

import ctypes
import mmap
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import NamedTuple

from addercost.hardware.this_machine import cache_sizes
from addercost.measure.host.chains import Compiled

PASSES = 7
LEAST_BYTES, MOST_BYTES = 64 << 20, 512 << 20
UNKNOWN_CACHE_BYTES = 32 << 20
LEAST_READ_BYTES = 512 << 20
"""How many bytes a sample of a cache reads, repeatedly, so that starting threads is a small part of its
time.
"""

MOST_TRIES, LEAST_USED = 20, 0.85
"""A sample is taken again, at most MOST_TRIES times, if the threads had a core for less than LEAST_USED of
the time.
"""

STEP_BYTES = 256
MEMORY = "memory"
"""The name of the level behind the last cache."""

Reader = Callable[[int, int, int], int]
"""`reader(address, bytes, times)` reads so many bytes, a multiple of `STEP_BYTES`, so many times."""

READ_IR = """
define i64 @read_memory(ptr %start, i64 %bytes, i64 %times) {
entry:
  br label %pass
pass:
  %p = phi i64 [0, %entry], [%q, %passed]
  %e0 = phi i64 [0, %entry], [%e, %passed]
  br label %loop
loop:
  %i = phi i64 [0, %pass], [%next, %loop]
  %s0 = phi <8 x i64> [zeroinitializer, %pass], [%t0, %loop]
  %s1 = phi <8 x i64> [zeroinitializer, %pass], [%t1, %loop]
  %s2 = phi <8 x i64> [zeroinitializer, %pass], [%t2, %loop]
  %s3 = phi <8 x i64> [zeroinitializer, %pass], [%t3, %loop]
  %p0 = getelementptr i8, ptr %start, i64 %i
  %p1 = getelementptr i8, ptr %p0, i64 64
  %p2 = getelementptr i8, ptr %p0, i64 128
  %p3 = getelementptr i8, ptr %p0, i64 192
  %l0 = load volatile <8 x i64>, ptr %p0, align 64
  %l1 = load volatile <8 x i64>, ptr %p1, align 64
  %l2 = load volatile <8 x i64>, ptr %p2, align 64
  %l3 = load volatile <8 x i64>, ptr %p3, align 64
  %t0 = xor <8 x i64> %s0, %l0
  %t1 = xor <8 x i64> %s1, %l1
  %t2 = xor <8 x i64> %s2, %l2
  %t3 = xor <8 x i64> %s3, %l3
  %next = add i64 %i, 256
  %more = icmp ult i64 %next, %bytes
  br i1 %more, label %loop, label %passed
passed:
  %a = xor <8 x i64> %t0, %t1
  %b = xor <8 x i64> %t2, %t3
  %c = xor <8 x i64> %a, %b
  %d = extractelement <8 x i64> %c, i64 0
  %e = xor i64 %e0, %d
  %q = add i64 %p, 1
  %again = icmp ult i64 %q, %times
  br i1 %again, label %pass, label %done
done:
  ret i64 %e
}
"""
"""Reads `bytes` in order, `times` times."""


class Bandwidth(NamedTuple):
    """Samples in bytes a second: of one core alone, and of all cores together, each reading its own
    memory.
    """

    alone: tuple[float, ...]
    together: tuple[float, ...]


def memory_bandwidth(threads: int) -> float | None:
    """Bytes per second that `threads` cores read from memory in order, the best of a few passes.

    None where it cannot be measured.
    """
    try:
        compiled = Compiled(READ_IR)
    except (ImportError, RuntimeError):
        return None
    found = bandwidths(compiled.reader(), cache_sizes(), threads, (MEMORY,))[MEMORY]
    return max(found.together if threads > 1 else found.alone)


def bandwidths(
    reader: Reader,
    caches: Mapping[str, int],
    threads: int,
    levels: tuple[str, ...] | None = None,
    guard: Callable[[Callable[[], float], str], float] = lambda sample, what: sample(),
) -> dict[str, Bandwidth]:
    """`PASSES` samples of each level: `L1`, `L2`, …, `memory`.

    caches: bytes of each level. All cores share the last one; each core has the others to itself. levels:
    which levels, all by default. guard: a function that waits for a quiet moment and takes the sample then;
    its second argument names the sample.
    """
    sizes = read_bytes(caches, threads)
    found = {}
    with ThreadPoolExecutor(threads) as pool:
        for level in sizes if levels is None else levels:
            alone_bytes, each_bytes = sizes[level]
            with _touched_buffer(max(alone_bytes, each_bytes * threads)) as address:
                one = partial(_rate, reader, None, address, alone_bytes, 1, level)
                all_ = partial(_rate, reader, pool, address, each_bytes, threads, level)
                one(), all_()
                what = f"the bandwidth of {level}"
                found[level] = Bandwidth(
                    tuple(guard(one, what) for _ in range(PASSES)),
                    tuple(guard(all_, what) for _ in range(PASSES)),
                )
    return found


def _rate(
    reader: Reader, pool: ThreadPoolExecutor | None, address: int, size: int, threads: int, level: str
) -> float:
    """Bytes a second that the threads of `pool` read, `size` bytes each; those of this thread without a pool.

    The measurement is repeated if another program had a core meanwhile, which the threads' processor time
    shows.
    """
    times = 1 if level == MEMORY else max(1, LEAST_READ_BYTES // size)
    for _ in range(MOST_TRIES):
        start, start_used = time.perf_counter_ns(), time.process_time_ns()
        if pool is None:
            reader(address, size, times)
        else:
            list(pool.map(lambda t: reader(address + t * size, size, times), range(threads)))
        took, used = time.perf_counter_ns() - start, time.process_time_ns() - start_used
        if used >= LEAST_USED * threads * took:
            break
    return threads * size * times / (took * 1e-9)


def read_bytes(caches: Mapping[str, int], threads: int) -> dict[str, tuple[int, int]]:
    """(bytes that one core reads alone, bytes that each core reads with all others) for each level. They are
    half of a cache; for memory, four times the last cache. A level is left out where a core's share of it
    would fit into the level before.
    """
    found: dict[str, tuple[int, int]] = {}
    levels = sorted(caches)
    before = 0
    for level in levels:
        shared = level == levels[-1] and len(levels) > 2
        alone = caches[level] // 2
        each = alone // threads if shared else alone
        if each > before:
            found[level] = _whole(alone), _whole(each)
        before = caches[level]
    last = max(caches.values(), default=UNKNOWN_CACHE_BYTES)
    size = min(max(4 * last, LEAST_BYTES), MOST_BYTES)
    found[MEMORY] = _whole(size), _whole(size // threads)
    return found


def _whole(size: int) -> int:
    return size - size % STEP_BYTES


@contextmanager
def _touched_buffer(size: int) -> Iterator[int]:
    """The address of `size` bytes, aligned to a page. All pages are in memory."""
    with mmap.mmap(-1, size) as buffer:
        view = (ctypes.c_char * size).from_buffer(buffer)
        try:
            ctypes.memset(view, 1, size)
            yield ctypes.addressof(view)
        finally:
            # The mapping cannot be closed while a view of it lives.
            del view
