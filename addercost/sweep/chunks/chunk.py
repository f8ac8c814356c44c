"""A chunk: the piece of a sweep that an engine runs in a worker, whether it traces or measures."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class ChunkResult:
    """A finished shard. failed: of its architectures. data: the bytes of its Parquet file."""

    number: int
    architectures: int
    failed: int
    data: bytes


class Chunk(Protocol):
    """Is pickled and sent to a worker."""

    @property
    def number(self) -> int: ...

    def run(self) -> ChunkResult: ...


def run_chunk(chunk: Chunk) -> ChunkResult:
    """`chunk.run()` as a function, which a pool of processes can be given by name."""
    return chunk.run()


Results = Generator[ChunkResult, None, None]
Engine = Callable[[Iterator[Chunk]], Results]
"""Runs chunks somewhere and yields their results in the order in which they are done."""

IN_FLIGHT = 2
"""Chunks a worker: one that it runs and one that waits, so that memory does not grow with the sweep."""
ATTEMPTS = 4
"""So often one chunk may lose its worker before the sweep gives up. A chunk does not kill its worker itself:
what users' code does happens in a child process.
"""
