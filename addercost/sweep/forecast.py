"""What a sweep would be: how many rows, and about how long, from a few of its architectures traced here and
now.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

from addercost.sweep.run import Plan
from addercost.sweep.space import Space
from addercost.sweep.worker import Task, run_chunk

_SAMPLE = 24
_SAMPLE_S = 20.0


@dataclass(frozen=True, slots=True)
class Forecast:
    """seconds: on so many workers, None where every sampled architecture failed. bytes: of all shards."""

    architectures: int
    rows: int
    chunks: int
    workers: int
    sampled: int
    failed: int
    seconds: float
    n_bytes: int


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

    run_chunk(task(picks[0]))
    seconds, n_bytes, failed, done = 0.0, 0, 0, 0
    for index in picks:
        start = time.perf_counter()
        result = run_chunk(task(index))
        seconds += time.perf_counter() - start
        done += 1
        failed += result.failed
        n_bytes += len(result.data)
        if seconds > _SAMPLE_S:
            break
    workers = max(workers, 1)
    return Forecast(
        architectures=total,
        rows=what.rows,
        chunks=what.manifest.chunks,
        workers=workers,
        sampled=done,
        failed=failed,
        seconds=seconds / done * total / min(workers, what.manifest.chunks),
        n_bytes=n_bytes // done * total,
    )


def _name(what: Plan, index: int) -> str:
    return next(Space(what.source).slice(index, index + 1)).name
