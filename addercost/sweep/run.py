"""A sweep from beginning to end: walk the space, see what is done, run the rest, keep each chunk as it
comes.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from addercost.results.files import write_file
from addercost.results.sweep_settings import SweepSettings, sweep_key
from addercost.sweep.engines import Engine, process_pool
from addercost.sweep.space import SpaceSource, space_source
from addercost.sweep.store import Manifest, done_and_remarks, open_folder
from addercost.sweep.walk import Walk, names, walk
from addercost.sweep.worker import Task


@dataclass(frozen=True, slots=True)
class Plan:
    """A sweep before it runs."""

    source: SpaceSource
    settings: SweepSettings
    walk: Walk
    manifest: Manifest

    @property
    def rows(self) -> int:
        return self.walk.architectures * self.settings.rows_per_architecture


@dataclass(frozen=True, slots=True)
class SweepReport:
    """What a run did. remarks: what a user should know, one line each. failed: architectures, in all
    shards.
    """

    folder: Path
    architectures: int
    rows: int
    chunks: int
    chunks_done_before: int
    failed: int
    remarks: tuple[str, ...] = field(default=())


def plan(space: str, settings: SweepSettings, first: int | None = None) -> Plan:
    """Walks the space. Raises ArgumentError and ModelError for names and files that will not do."""
    settings = settings.checked()
    source = space_source(space)
    walked = walk(source, first)
    settings = settings.with_chunk_for(walked.architectures)
    key = sweep_key(settings, walked.digest, walked.architectures)
    return Plan(source, settings, walked, Manifest(key, source.spec, walked.architectures, settings))


def sweep(
    what: Plan,
    folder: Path,
    *,
    engine: Engine | None = None,
    workers: int = 1,
    timeout_s: float = 0.0,
    memory_limit_bytes: int = 0,
    retry_failed: bool = False,
    on_chunk: Callable[[int, int], None] = lambda architectures, failed: None,
) -> SweepReport:
    """Runs what is not yet done and keeps it in `folder`, each chunk whole or not at all.

    engine: where chunks run; `workers` processes of this machine by default. timeout_s, memory_limit_bytes:
    of an architecture and of a worker, 0 for none. retry_failed: chunks with failed architectures run again.
    on_chunk: called with how many architectures a finished chunk had and how many of them failed.
    Raises OutputError where a shard cannot be written, WorkersLostError where workers or cluster are gone;
    what was kept by then is done.
    """
    open_folder(folder, what.manifest)
    layout = what.manifest.layout
    done, remarks = done_and_remarks(folder, layout, retry_failed)
    for number, broken in done.items():
        on_chunk(layout.length(number), broken)
    failed = sum(done.values())
    tasks = _tasks(what, done, timeout_s, memory_limit_bytes)
    # Closed, so that workers end with whatever ends the loop.
    with contextlib.closing((engine or process_pool(workers))(tasks)) as results:
        for result in results:
            write_file(layout.path(folder, result.number), result.data, force=True)
            failed += result.failed
            on_chunk(result.architectures, result.failed)
    return SweepReport(
        folder,
        what.walk.architectures,
        what.rows,
        layout.chunks,
        len(done),
        failed,
        remarks,
    )


def _tasks(what: Plan, done: dict[int, int], timeout_s: float, memory_limit_bytes: int) -> Iterator[Task]:
    walked = names(what.source, what.walk.architectures)
    for number in range(what.manifest.layout.chunks):
        chunk = tuple(itertools.islice(walked, what.manifest.layout.length(number)))
        if number in done:
            continue
        start = number * what.settings.chunk
        yield Task(
            source=what.source,
            settings=what.settings,
            key=what.manifest.key,
            number=number,
            start=start,
            names=chunk,
            duplicates={
                i: first for i, first in what.walk.duplicates.items() if start <= i < start + len(chunk)
            },
            timeout_s=timeout_s,
            memory_limit_bytes=memory_limit_bytes,
        )
