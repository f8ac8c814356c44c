"""The processor as a device to time on: pinned threads, flushed caches, the clock and neighbours watched."""

from __future__ import annotations

import gc
import os
import platform
import resource
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path

import torch

from addercost.errors import ArgumentError
from addercost.measure.chains import DEPENDENT, UNROLL, Compiled, loop_ir
from addercost.measure.device import Call, Condition, DeviceFacts, Energy, KernelTime
from addercost.measure.host import CLOCK, cache_sizes, cpu_model, governor, memory_bandwidth
from addercost.measure.process_memory import available_bytes, keep_freed_memory, peak_bytes

WARM_UP_S = 0.03
LOOK_S = 0.1
LIMIT_S = 0.02
FLUSHED_CACHES = 2
MOST_TRIES = 8
LONGEST_RETAKEN_S = 5e-3
"""A sample longer than another program's turn is cut into whenever there is another program."""
SETTLE_S = 2e-3
"""Threads of a pool spin for about a millisecond after their work, on the cores that the other side needs."""
SMALLEST_FLUSH_BYTES = 16 << 20


class CpuDevice:
    """Times calls on `threads` cores of this machine.

    clock: "cpu" counts the processor time of this process, so that time another program had the core does not
    count; "wall" counts all time. By default "cpu" on one thread, where the two agree on an idle machine.
    A short sample during which another program took a core is taken again, up to `MOST_TRIES` times: it is
    left out for that reason and never for its value. Threads are pinned to the idlest cores where the system
    lets us; `close` undoes that.
    Raises ArgumentError for more threads than there are cores.
    """

    def __init__(self, threads: int = 1, clock: str | None = None, pin: bool = True) -> None:
        allowed = allowed_cores()
        if not 1 <= threads <= len(allowed):
            raise ArgumentError(
                f"{threads} threads on {len(allowed)} cores", f"--threads 1 to {len(allowed)}"
            )
        self.clock = clock or ("cpu" if threads == 1 else "wall")
        self._now = time.process_time_ns if self.clock == "cpu" else time.perf_counter_ns
        self.threads = threads
        self._allowed, self._threads_before = allowed, torch.get_num_threads()
        torch.set_num_threads(threads)
        self._pinned = _pin(idlest(allowed, threads)) if pin else ()
        kept = keep_freed_memory()
        caches = cache_sizes()
        self._cache_bytes = max(caches.values(), default=32 << 20)
        self._flushed: torch.Tensor | None = None
        self._facts = DeviceFacts(
            "cpu",
            cpu_model(),
            self._cache_bytes,
            {
                "cores": str(len(allowed)),
                "caches": ", ".join(f"{level} {size >> 10} KiB" for level, size in caches.items()),
                "threads": str(threads),
                "pinned": "yes" if self._pinned else "no",
                "clock": {
                    "cpu": "processor time of the process",
                    "wall": "wall clock",
                }[self.clock],
                "governor": governor(),
                "allocator": "freed memory is kept" if kept else "the system's",
                "isa": torch.backends.cpu.get_cpu_capability(),
            },
            counts_waiting=self.clock == "wall",
        )

    @property
    def facts(self) -> DeviceFacts:
        return self._facts

    def close(self) -> None:
        if self._pinned:
            _pin(self._allowed)
        torch.set_num_threads(self._threads_before)

    def now(self) -> float:
        return time.monotonic()

    def prepare(self, call: Call) -> Call:
        end = time.perf_counter() + WARM_UP_S
        call()
        while time.perf_counter() < end:
            call()
        return call

    def sample(self, call: Call, calls: int, cold: bool) -> float:
        collected = gc.isenabled()
        gc.disable()
        try:
            for _ in range(MOST_TRIES):
                before = _interruptions()
                seconds = self._once(call, calls, cold)
                if _interruptions() == before or seconds > LONGEST_RETAKEN_S:
                    break
        finally:
            if collected:
                gc.enable()
        return seconds

    def _once(self, call: Call, calls: int, cold: bool) -> float:
        now, took = self._now, 0
        if self.threads > 1:
            time.sleep(SETTLE_S)
            call()
        if cold:
            for _ in range(calls):
                self._flush()
                start = now()
                call()
                took += now() - start
        else:
            start = now()
            for _ in range(calls):
                call()
            took = now() - start
        return took * 1e-9 / calls

    def _flush(self) -> None:
        """Reads and writes twice what the last-level cache holds."""
        if self._flushed is None:
            size = max(FLUSHED_CACHES * self._cache_bytes, SMALLEST_FLUSH_BYTES)
            self._flushed = torch.zeros(size // 4, dtype=torch.int32)
        self._flushed += 1

    def condition(self) -> Condition:
        return Condition(clock_hz=_clock_hz(), steal_s=_steal_s(), waited_s=_waited_s())

    def limit(self, name: str) -> float | None:
        if name == "memory":
            return memory_bandwidth(self.threads)
        try:
            from addercost.kernels.cpu.limits import limit_sites_per_second

            # No two threads share a core's vector units here, so the limits add up.
            return self.threads * limit_sites_per_second(name, LIMIT_S)
        except (ImportError, KeyError, RuntimeError):
            return None

    def free_bytes(self) -> int | None:
        return available_bytes()

    def peak_bytes(self, call: Call) -> int | None:
        return peak_bytes(call)

    def kernels(self, call: Call) -> tuple[KernelTime, ...]:
        return ()

    def energy(self, call: Call, seconds: float) -> Energy | None:
        return None


def _interruptions() -> int:
    """How often a thread of this process had to give up its core before its time."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw


def allowed_cores() -> tuple[int, ...]:
    """Numbers of the cores this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return tuple(sorted(os.sched_getaffinity(0)))
    return tuple(range(os.cpu_count() or 1))


def idlest(cores: Sequence[int], count: int) -> tuple[int, ...]:
    """The `count` cores on which others run least, by a short look; the first where it cannot be told."""
    if count == len(cores):
        return tuple(cores)
    before = _idle_ticks()
    time.sleep(LOOK_S)
    after = _idle_ticks()
    ranked = sorted(cores, key=lambda core: before.get(core, 0) - after.get(core, 0))
    return tuple(sorted(ranked[:count]))


def _idle_ticks(stat: Path = Path("/proc/stat")) -> dict[int, int]:
    ticks = {}
    with suppress(OSError):
        for line in stat.read_text().splitlines():
            name, *values = line.split()
            if name.startswith("cpu") and name[3:].isdigit():
                ticks[int(name[3:])] = int(values[3])
    return ticks


def _pin(cores: Sequence[int]) -> tuple[int, ...]:
    """Keeps every thread of this process on `cores`; () where the system does not let us."""
    if not hasattr(os, "sched_setaffinity"):
        return ()
    try:
        # Threads started later inherit it; those of torch's and Halide's pools may be there already.
        for task in Path("/proc/self/task").iterdir():
            with suppress(ProcessLookupError):
                os.sched_setaffinity(int(task.name), cores)
    except OSError:
        return ()
    return tuple(cores)


@cache
def _clock_chain() -> Callable[[int], None] | None:
    try:
        return Compiled(loop_ir("clock", CLOCK, DEPENDENT)).loop("clock")
    except (ImportError, RuntimeError):
        return None


def _clock_hz(rounds: int = 4000) -> float | None:
    """By dependent additions of one cycle each; the best of three, since an interruption only slows it."""
    if platform.machine() not in ("x86_64", "AMD64") or (chain := _clock_chain()) is None:
        return None
    best = float("inf")
    for _ in range(3):
        start = time.thread_time_ns()
        chain(rounds)
        best = min(best, (time.thread_time_ns() - start) * 1e-9)
    return UNROLL * rounds / best if best > 0 else None


def _steal_s(stat: Path = Path("/proc/stat")) -> float | None:
    """Time the hypervisor gave to others, of all cores together."""
    try:
        return int(stat.read_text().split("\n", 1)[0].split()[8]) / os.sysconf("SC_CLK_TCK")
    except (OSError, IndexError, ValueError):
        return None


def _waited_s(schedstat: Path = Path("/proc/thread-self/schedstat")) -> float | None:
    """Time this thread was ready and did not have a core."""
    try:
        return int(schedstat.read_text().split()[1]) * 1e-9
    except (OSError, IndexError, ValueError):
        return None
