"""The names of the shards that belong together in a folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

MEASURED = "measured"
"""The beginning of the names of files with measurements."""


@dataclass(frozen=True, slots=True)
class Layout:
    """The shards of a sweep, or of its measurements on a device: `PREFIX-000000.parquet` and on, one a chunk.

    key: the key in their footers, so that another sweep's shard is never mistaken for one of these.
    architectures: the number in all chunks together. chunk: the number in a chunk.
    """

    prefix: str
    key: str
    architectures: int
    chunk: int

    @property
    def chunks(self) -> int:
        return -(-self.architectures // self.chunk)

    def length(self, number: int) -> int:
        """The number of architectures in a chunk; the last chunk may have fewer."""
        return min(self.chunk, self.architectures - number * self.chunk)

    def path(self, folder: Path, number: int) -> Path:
        return folder / f"{self.prefix}-{number:06d}.parquet"
