"""Time during which this process was ready to run and had no core, as the system counts it."""

from __future__ import annotations

import os
import resource
from pathlib import Path


def steal_s(stat: Path = Path("/proc/stat")) -> float | None:
    """Seconds since boot that the hypervisor gave to other machines, of all cores together."""
    try:
        return int(stat.read_text().split("\n", 1)[0].split()[8]) / os.sysconf("SC_CLK_TCK")
    except (OSError, IndexError, ValueError):
        return None


def waited_s(schedstat: Path = Path("/proc/thread-self/schedstat")) -> float | None:
    """Seconds that this thread was ready to run and did not have a core."""
    try:
        return int(schedstat.read_text().split()[1]) * 1e-9
    except (OSError, IndexError, ValueError):
        return None


def interruptions() -> int:
    """How often a thread of this process had to give up its core before its time was up."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw
