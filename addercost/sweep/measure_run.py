"""Measuring what a folder has swept: the same space, in chunks of its own, each kept whole or not at all."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from addercost.errors import ArgumentError, DataError
from addercost.results.files import write_file
from addercost.sweep.engines import Engine, process_pool
from addercost.sweep.measure_chunk import MeasureChunk
from addercost.sweep.measured import SCHEMA, MeasureSettings
from addercost.sweep.run import Plan, SweepReport, plan
from addercost.sweep.store import MEASURED, Layout, Manifest, done_and_remarks, read_manifest
from addercost.sweep.walk import names


@dataclass(frozen=True, slots=True)
class MeasurePlan:
    """Measurements before they are made."""

    settings: MeasureSettings
    layout: Layout
    swept: Plan

    @property
    def rows(self) -> int:
        return self.layout.architectures * len(self.settings.combinations)


def measure_plan(folder: Path, settings: MeasureSettings) -> MeasurePlan:
    """Walks the folder's space again. Raises ArgumentError where it is no longer the one that was swept."""
    settings = settings.checked()
    manifest = read_manifest(folder)
    swept = plan(manifest.space, manifest.settings, manifest.architectures)
    if swept.manifest.key != manifest.key:
        raise ArgumentError(
            f"{manifest.space} is no longer what {folder} swept, or torch, addercost or a table has changed",
            "sweep it again into another folder",
        )
    layout = _layout(manifest, settings)
    return MeasurePlan(settings, layout, swept)


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
    """Times what is not yet timed. engine: one process of this machine by default, or a Dask cluster whose
    workers offer `measured.RESOURCE`. The rest as in `run.sweep`.
    """
    _keep_settings(folder, what)
    done, remarks = done_and_remarks(folder, what.layout, retry_failed)
    for number, broken in done.items():
        on_chunk(what.layout.length(number), broken)
    failed = sum(done.values())
    chunks = _chunks(what, done, timeout_s, memory_limit_bytes)
    with contextlib.closing((engine or process_pool(1))(chunks)) as results:
        for result in results:
            write_file(what.layout.path(folder, result.number), result.data, force=True)
            failed += result.failed
            on_chunk(result.architectures, result.failed)
    return SweepReport(
        folder, what.layout.architectures, what.rows, what.layout.chunks, len(done), failed, remarks
    )


def measured_layouts(folder: Path, manifest: Manifest) -> list[tuple[Layout, MeasureSettings]]:
    """What a folder says was measured in it, one entry a device. Raises DataError for a damaged file."""
    found = []
    for path in sorted(folder.glob(f"{MEASURED}-*.json")):
        settings = _read_settings(path)
        found.append((_layout(manifest, settings), settings))
    return found


def _layout(manifest: Manifest, settings: MeasureSettings) -> Layout:
    architectures = len(settings.indices(manifest.architectures))
    key = settings.key(manifest.key)
    return Layout(f"{MEASURED}-{settings.device}", key, architectures, settings.chunk)


def _keep_settings(folder: Path, what: MeasurePlan) -> None:
    """Writes down how this device is measured, or checks that it was measured so before."""
    path = folder / f"{what.layout.prefix}.json"
    if path.exists():
        before = asdict(_read_settings(path))
        for name, value in asdict(what.settings).items():
            if before[name] != value:
                raise ArgumentError(
                    f"{folder} was measured with {name} {before[name]}, not {value}",
                    f"give the same options, or remove {path.name} and {what.layout.prefix}-*.parquet",
                )
        return
    write_file(path, json.dumps({"schema": SCHEMA, **asdict(what.settings)}, indent=1) + "\n")


def _read_settings(path: Path) -> MeasureSettings:
    try:
        data: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if data.pop("schema") != SCHEMA:
            raise DataError(f"{path} was written by another version", "measure again in another folder")
        settings: dict[str, Any] = {}
        for name, value in data.items():
            settings[name] = tuple(value) if isinstance(value, list) else value
        return MeasureSettings(**settings).checked()
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{path} is damaged: {type(error).__name__}: {error}") from None


def _chunks(
    what: MeasurePlan, done: dict[int, int], timeout_s: float, memory_limit_bytes: int
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
