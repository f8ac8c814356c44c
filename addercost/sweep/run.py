"""A whole sweep: the plan, and the run of the chunks that are not finished."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from addercost.results.ownership import own_folder
from addercost.results.sweep_settings import SweepSettings, sweep_key
from addercost.sweep.chunks.chunk import Engine
from addercost.sweep.chunks.process_pool import process_pool
from addercost.sweep.chunks.trace_chunk import TraceChunk
from addercost.sweep.run_chunks import SweepReport, run_chunks
from addercost.sweep.shards.manifest import Manifest, check_folder, keep_manifest
from addercost.sweep.spaces.kinds import space_source
from addercost.sweep.spaces.source import SpaceSource
from addercost.sweep.spaces.walk import Walk, names, walk


@dataclass(frozen=True, slots=True)
class SweepPlan:
    """The plan of a sweep."""

    source: SpaceSource
    settings: SweepSettings
    walk: Walk
    manifest: Manifest

    @property
    def rows(self) -> int:
        return self.walk.architectures * self.settings.rows_per_architecture


def plan(space: str, settings: SweepSettings, first: int | None = None) -> SweepPlan:
    """Makes the plan: walks the space, or its `first` architectures.

    Raises ArgumentError for a name or setting that does not exist, ModelError for a file that is no space.
    """
    settings = settings.checked()
    source = space_source(space)
    walked = walk(source, first)
    settings = settings.with_chunk_for(walked.architectures)
    key = sweep_key(settings, walked.digest, walked.architectures)
    return SweepPlan(source, settings, walked, Manifest(key, source.spec, walked.architectures, settings))


def sweep(
    what: SweepPlan,
    folder: Path,
    *,
    engine: Engine | None = None,
    workers: int = 1,
    timeout_s: float = 0.0,
    memory_limit_bytes: int = 0,
    retry_failed: bool = False,
    on_chunk: Callable[[int, int], None] = lambda architectures, failed: None,
) -> SweepReport:
    """Runs the chunks that are not finished and writes their shards to `folder`, each completely or not at
    all.

    engine: where chunks run; `workers` processes of this machine by default. timeout_s: the limit for one
    architecture. memory_limit_bytes: the limit of a worker's tracing process. 0 means no limit. retry_failed,
    on_chunk and errors are as for `run_chunks`.
    """
    with own_folder(folder):
        check_folder(folder, what.manifest)
        return run_chunks(
            folder,
            what.manifest.layout,
            what.rows,
            lambda: keep_manifest(folder, what.manifest),
            lambda done: _chunks(what, done, timeout_s, memory_limit_bytes),
            engine or process_pool(workers),
            retry_failed,
            on_chunk,
        )


def _chunks(
    what: SweepPlan, done: Collection[int], timeout_s: float, memory_limit_bytes: int
) -> Iterator[TraceChunk]:
    walked = names(what.source, what.walk.architectures)
    for number in range(what.manifest.layout.chunks):
        members = tuple(itertools.islice(walked, what.manifest.layout.length(number)))
        if number in done:
            continue
        start = number * what.settings.chunk
        yield TraceChunk(
            source=what.source,
            settings=what.settings,
            key=what.manifest.key,
            number=number,
            start=start,
            names=members,
            duplicates={
                i: first for i, first in what.walk.duplicates.items() if start <= i < start + len(members)
            },
            timeout_s=timeout_s,
            memory_limit_bytes=memory_limit_bytes,
        )
