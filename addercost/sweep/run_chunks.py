"""Runs the chunks that a folder lacks, and writes each finished chunk, completely or not at all."""

from __future__ import annotations

import contextlib
import importlib.util
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from addercost.errors import ArgumentError
from addercost.results.files import write_file
from addercost.sweep.chunks.chunk import Chunk, Engine
from addercost.sweep.shards.layout import Layout
from addercost.sweep.shards.shard_files import done_and_remarks


@dataclass(frozen=True, slots=True)
class SweepReport:
    """The result of a run. chunks_done_before: how many chunks earlier runs had finished. failed: the number
    of failed architectures in all shards. remarks: lines for the user.
    """

    folder: Path
    architectures: int
    rows: int
    chunks: int
    chunks_done_before: int
    failed: int
    remarks: tuple[str, ...] = ()


def run_chunks(
    folder: Path,
    layout: Layout,
    rows: int,
    begin: Callable[[], None],
    chunks: Callable[[Collection[int]], Iterator[Chunk]],
    engine: Engine,
    retry_failed: bool,
    on_chunk: Callable[[int, int], None],
) -> SweepReport:
    """Runs the chunks of a layout whose shards the folder lacks, and writes their shards.

    begin: called before the first shard is written, when the engine works. chunks: makes the chunks, except
    those with the given numbers. rows: the number of rows of all shards, for the report. retry_failed: chunks
    with failed architectures run again. on_chunk: called with the number of architectures of a finished chunk
    and how many of these failed, first for chunks that were finished before. Raises OutputError where a shard
    cannot be written, and WorkersLostError where the workers or the cluster are gone; shards that were
    written until then are kept. Raises ArgumentError where shards cannot be written at all.
    """
    if importlib.util.find_spec("pyarrow") is None:
        raise ArgumentError("sweeps need pyarrow", "pip install 'addercost[sweep]'")
    done, remarks = done_and_remarks(folder, layout, retry_failed)
    for number, broken in done.items():
        on_chunk(layout.length(number), broken)
    failed = sum(done.values())
    # Closed, so that workers end however the loop ends.
    with contextlib.closing(engine(chunks(done))) as results:
        begun = False
        for result in results:
            if not begun:
                begin()
                begun = True
            write_file(layout.path(folder, result.number), result.data, force=True)
            failed += result.failed
            on_chunk(result.architectures, result.failed)
    return SweepReport(folder, layout.architectures, rows, layout.chunks, len(done), failed, remarks)
