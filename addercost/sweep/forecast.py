"""What a sweep would be: how many rows, and about how long, from a few of its architectures traced here and
now.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

from addercost.sweep.run import Plan
from addercost.sweep.space import Space
from addercost.sweep.worker import Task, examined

_SAMPLE = 24
_SAMPLE_S = 20.0


@dataclass(frozen=True, slots=True)
class Forecast:
    """seconds: on so many workers, by the sampled architectures, of which some failed."""

    architectures: int
    rows: int
    chunks: int
    workers: int
    sampled: int
    failed: int
    seconds: float


def forecast(what: Plan, workers: int, timeout_s: float = 0.0, memory_limit_bytes: int = 0) -> Forecast:
    """Traces up to `_SAMPLE` architectures, spread over the space, one after the other.

    What a worker's start takes is left out, so that the rest scales with the number of architectures.
    """
    total = what.walk.architectures
    picks = sorted({i * total // _SAMPLE for i in range(_SAMPLE)})
    settings = replace(what.settings, chunk=1)
    names = {index: _name(what, index) for index in picks}

    def task(index: int) -> Task:
        return Task(what.source, settings, "", 0, index, (names[index],), {}, timeout_s, memory_limit_bytes)

    # The first also starts a process and imports torch, which a sweep does once.
    list(examined(task(picks[0]), {}))
    seconds, failed, done = 0.0, 0, 0
    for index in picks:
        start = time.perf_counter()
        failed += sum(tally.error is not None for tally in examined(task(index), {}))
        seconds += time.perf_counter() - start
        done += 1
        if seconds > _SAMPLE_S:
            break
    workers = max(workers, 1)
    return Forecast(
        architectures=total,
        rows=what.rows,
        chunks=what.manifest.layout.chunks,
        workers=workers,
        sampled=done,
        failed=failed,
        seconds=seconds / done * total / min(workers, what.manifest.layout.chunks),
    )


def _name(what: Plan, index: int) -> str:
    return next(Space(what.source).slice(index, index + 1)).name
