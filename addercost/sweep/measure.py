"""Measures the architectures of a swept folder. Measurements have their own chunks and shards."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from addercost.errors import ArgumentError
from addercost.results.ownership import own_folder
from addercost.sweep.chunks.chunk import Engine
from addercost.sweep.chunks.measure_chunk import MeasureChunk
from addercost.sweep.chunks.process_pool import process_pool
from addercost.sweep.measurement import MeasureSettings
from addercost.sweep.run import SweepPlan, plan
from addercost.sweep.run_chunks import SweepReport, run_chunks
from addercost.sweep.shards.layout import Layout
from addercost.sweep.shards.manifest import read_manifest
from addercost.sweep.shards.measured_settings import check_settings, keep_settings, measured_layout
from addercost.sweep.spaces.walk import names


@dataclass(frozen=True, slots=True)
class MeasurePlan:
    """A plan of measurements. swept: the sweep whose architectures are timed."""

    settings: MeasureSettings
    layout: Layout
    swept: SweepPlan

    @property
    def rows(self) -> int:
        return self.layout.architectures * len(self.settings.combinations)


def measure_plan(folder: Path, settings: MeasureSettings) -> MeasurePlan:
    """Walks the folder's space again and makes the plan. Raises ArgumentError where the space has changed
    since the sweep.
    """
    settings = settings.checked()
    manifest = read_manifest(folder)
    swept = plan(manifest.space, manifest.settings, manifest.architectures)
    if swept.manifest.key != manifest.key:
        raise ArgumentError(
            f"{manifest.space} is no longer what {folder} swept, or torch, addercost or a table has changed",
            "sweep it again into another folder",
        )
    return MeasurePlan(settings, measured_layout(manifest, settings), swept)


def measure(
    what: MeasurePlan,
    folder: Path,
    *,
    engine: Engine | None = None,
    timeout_s: float = 0.0,
    memory_limit_bytes: int = 0,
    retry_failed: bool = False,
    on_chunk: Callable[[int, int], None] = lambda architectures, failed: None,
) -> SweepReport:
    """Times the architectures that are not timed yet.

    engine: one process of this machine by default, or a Dask cluster whose workers offer
    `measurement.RESOURCE`. The other arguments are those of `run.sweep`.
    """
    with own_folder(folder):
        check_settings(folder, what.layout, what.settings)
        return run_chunks(
            folder,
            what.layout,
            what.rows,
            lambda: keep_settings(folder, what.layout, what.settings),
            lambda done: _chunks(what, done, timeout_s, memory_limit_bytes),
            engine or process_pool(1),
            retry_failed,
            on_chunk,
        )


def _chunks(
    what: MeasurePlan, done: Collection[int], timeout_s: float, memory_limit_bytes: int
) -> Iterator[MeasureChunk]:
    walked = what.swept.walk
    wanted = what.settings.indices(walked.architectures)
    named = enumerate(names(what.swept.source, walked.architectures))
    for number in range(what.layout.chunks):
        first = number * what.layout.chunk
        indices = set(wanted[first : first + what.layout.chunk])
        last = max(indices)
        members = []
        for index, name in named:
            if index in indices:
                members.append((index, name))
            if index == last:
                break
        if number not in done:
            yield MeasureChunk(
                source=what.swept.source,
                settings=what.settings,
                key=what.layout.key,
                number=number,
                members=tuple(members),
                duplicates={i: walked.duplicates[i] for i in indices if i in walked.duplicates},
                timeout_s=timeout_s,
                memory_limit_bytes=memory_limit_bytes,
            )
