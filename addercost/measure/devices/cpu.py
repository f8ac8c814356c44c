"""The processor as a timing device: it pins threads, flushes caches, and watches the clock and
interruptions.
"""

from __future__ import annotations

import gc
import time
from functools import cached_property

import torch

from addercost.errors import ArgumentError
from addercost.hardware.this_machine import cache_sizes, governor, processor_id
from addercost.measure.devices.cores import allowed_cores, idlest, pin
from addercost.measure.devices.device import Call, Condition, DeviceFacts, Energy, KernelTime
from addercost.measure.devices.process_memory import available_bytes, keep_freed_memory, peak_bytes
from addercost.measure.devices.waiting import interruptions, steal_s, waited_s
from addercost.measure.host.core_clock import clock_hz
from addercost.measure.host.memory_bandwidth import UNKNOWN_CACHE_BYTES, memory_bandwidth
from addercost.measure.speed.fixed_work import open_reference_speed
from addercost.measure.speed.reference import ReferenceSpeed

WARM_UP_S = 0.03
LIMIT_S = 0.02
FLUSHED_CACHES = 2
MOST_TRIES = 8
LONGEST_RETAKEN_S = 5e-3
"""The longest sample that is taken again after an interruption. A longer one would be interrupted each time
that another program runs.
"""
SETTLE_S = 2e-3
"""How long to wait between two sides. Threads of a pool spin for about a millisecond after their work, on the
cores that the other side needs.
"""
SMALLEST_FLUSH_BYTES = 16 << 20


class CpuDevice:
    """Times calls on `threads` cores of this machine.

    clock: "cpu" counts the processor time of this process and leaves out time during which another program
    had the core; "wall" counts all time. The default is "cpu" for one thread, for which both agree on an idle
    machine, and "wall" for several. A short sample during which another program took a core is taken again,
    up to `MOST_TRIES` times. It is dropped for that reason and never for its value. Threads are pinned to the
    idlest cores where the system allows it, and `close` undoes that. Raises ArgumentError for more threads
    than there are cores.
    """

    def __init__(self, threads: int = 1, clock: str | None = None) -> None:
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
        self._pinned = pin(idlest(allowed, threads))
        kept = keep_freed_memory()
        caches = cache_sizes()
        self._cache_bytes = max(caches.values(), default=UNKNOWN_CACHE_BYTES)
        self._flushed: torch.Tensor | None = None
        self._facts = DeviceFacts(
            "cpu",
            processor_id(),
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

    @cached_property
    def speed(self) -> ReferenceSpeed:
        return open_reference_speed(self._now)

    def close(self) -> None:
        if self._pinned:
            pin(self._allowed)
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
                before = interruptions()
                seconds = self._once(call, calls, cold)
                if interruptions() == before or seconds > LONGEST_RETAKEN_S:
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
        """Empties the caches: reads and writes twice as many bytes as the last-level cache has."""
        if self._flushed is None:
            size = max(FLUSHED_CACHES * self._cache_bytes, SMALLEST_FLUSH_BYTES)
            self._flushed = torch.zeros(size // 4, dtype=torch.int32)
        self._flushed += 1

    def condition(self) -> Condition:
        return Condition(clock_hz=clock_hz(), steal_s=steal_s(), waited_s=waited_s())

    def limit(self, name: str) -> float | None:
        if name == "memory":
            return memory_bandwidth(self.threads)
        try:
            from addercost.measure.host.loop_rate import loop_sites_per_second

            # Each thread has its own core, so the limits add up.
            return self.threads * loop_sites_per_second(name, LIMIT_S)
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
