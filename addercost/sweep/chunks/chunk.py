"""A chunk: the piece of a sweep that an engine runs in a worker, whether it traces or measures."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class ChunkResult:
    """A finished shard. failed: how many of its architectures failed. data: the bytes of its Parquet file."""

    number: int
    architectures: int
    failed: int
    data: bytes


class Chunk(Protocol):
    """A piece of a sweep, which is pickled and sent to a worker."""

    @property
    def number(self) -> int: ...

    def run(self) -> ChunkResult: ...


def run_chunk(chunk: Chunk) -> ChunkResult:
    """`chunk.run()` as a function, which a pool of processes can be given by name."""
    return chunk.run()


Results = Generator[ChunkResult, None, None]
Engine = Callable[[Iterator[Chunk]], Results]
"""An engine: runs chunks and yields their results in the order in which they finish."""

IN_FLIGHT = 2
"""The number of submitted chunks for each worker: one that runs and one that waits, so that memory does not
grow with the sweep.
"""
ATTEMPTS = 4
"""How often a chunk may lose its worker before the sweep gives up. Users' code cannot kill the worker, since
it runs in a child process.
"""
