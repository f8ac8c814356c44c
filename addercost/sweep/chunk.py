"""A piece of a sweep: what an engine runs in a worker, whatever is done there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class ChunkResult:
    """A finished shard: the bytes of its Parquet file."""

    number: int
    architectures: int
    failed: int
    data: bytes


class Chunk(Protocol):
    """Travels to a worker as it is."""

    @property
    def number(self) -> int: ...

    def run(self) -> ChunkResult: ...


def run_chunk(chunk: Chunk) -> ChunkResult:
    return chunk.run()
