"""Forecasts a sweep's number of rows and its duration, by tracing a few of its architectures."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

from addercost.sweep.chunks.trace_chunk import TraceChunk, tallies_of
from addercost.sweep.run import SweepPlan
from addercost.sweep.spaces.space import Space

_SAMPLE = 24
_SAMPLE_S = 20.0


@dataclass(frozen=True, slots=True)
class Forecast:
    """seconds: the duration of the sweep on so many workers, if all architectures are like the `sampled`
    ones. failed: how many of these failed.
    """

    architectures: int
    rows: int
    chunks: int
    workers: int
    sampled: int
    failed: int
    seconds: float


def forecast(what: SweepPlan, workers: int, timeout_s: float = 0.0, memory_limit_bytes: int = 0) -> Forecast:
    """Traces at most 24 architectures, spread over the space, one after the other and for at most 20 s.

    The time to start a worker is left out, so that the rest is proportional to the number of architectures.
    """
    total = what.walk.architectures
    picks = sorted({i * total // _SAMPLE for i in range(_SAMPLE)})
    settings = replace(what.settings, chunk=1)
    names = {index: _name(what, index) for index in picks}

    def chunk_of(index: int) -> TraceChunk:
        return TraceChunk(
            what.source, settings, "", 0, index, (names[index],), {}, timeout_s, memory_limit_bytes
        )

    # The first run also starts a process and imports torch, which a sweep does only once.
    list(tallies_of(chunk_of(picks[0]), {}))
    seconds, failed, done = 0.0, 0, 0
    for index in picks:
        start = time.perf_counter()
        failed += sum(tally.error is not None for tally in tallies_of(chunk_of(index), {}))
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


def _name(what: SweepPlan, index: int) -> str:
    return next(Space(what.source).slice(index, index + 1)).name
