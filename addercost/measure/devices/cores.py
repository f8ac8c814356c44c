"""The cores that this process may run on: finding idle ones, and pinning the process's threads to them."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

LOOK_S = 0.1


def allowed_cores() -> tuple[int, ...]:
    """The numbers of the cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return tuple(sorted(os.sched_getaffinity(0)))
    return tuple(range(os.cpu_count() or 1))


def idlest(cores: Sequence[int], count: int) -> tuple[int, ...]:
    """The `count` cores that are idle for the largest part of `LOOK_S` seconds; the first ones where the
    system does not report idle time.
    """
    if count == len(cores):
        return tuple(cores)
    before = _idle_ticks()
    time.sleep(LOOK_S)
    after = _idle_ticks()
    ranked = sorted(cores, key=lambda core: before.get(core, 0) - after.get(core, 0))
    return tuple(sorted(ranked[:count]))


def _idle_ticks(stat: Path = Path("/proc/stat")) -> dict[int, int]:
    """Idle time of each core since boot, in clock ticks."""
    ticks = {}
    with suppress(OSError):
        for line in stat.read_text().splitlines():
            name, *values = line.split()
            if name.startswith("cpu") and name[3:].isdigit():
                ticks[int(name[3:])] = int(values[3])
    return ticks


def pin(cores: Sequence[int]) -> tuple[int, ...]:
    """Pins every thread of this process to `cores`. Returns `cores`, or () where the system forbids it."""
    if not hasattr(os, "sched_setaffinity"):
        return ()
    try:
        # Threads that start later inherit the cores. Those of torch's and Halide's pools may run already.
        for task in Path("/proc/self/task").iterdir():
            with suppress(ProcessLookupError):
                os.sched_setaffinity(int(task.name), cores)
    except OSError:
        return ()
    return tuple(cores)
