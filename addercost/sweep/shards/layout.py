"""Which files of a folder belong together."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

MEASURED = "measured"
"""How the names of files with measurements begin."""


@dataclass(frozen=True, slots=True)
class Layout:
    """The shards of a sweep, or of its measurements on a device: `PREFIX-000000.parquet` and on, one a chunk.

    key: is in their footers, so that another sweep's shard is never taken for one of these.
    architectures: of all chunks together. chunk: architectures in one.
    """

    prefix: str
    key: str
    architectures: int
    chunk: int

    @property
    def chunks(self) -> int:
        return -(-self.architectures // self.chunk)

    def length(self, number: int) -> int:
        """Architectures in a chunk; the last may be shorter."""
        return min(self.chunk, self.architectures - number * self.chunk)

    def path(self, folder: Path, number: int) -> Path:
        return folder / f"{self.prefix}-{number:06d}.parquet"
