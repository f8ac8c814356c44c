"""The entry in a shard's footer that names the sweep of the shard."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from addercost.results.sweep_settings import SCHEMA

_ENTRY = b"addercost.sweep"


@dataclass(frozen=True, slots=True)
class Footer:
    """The entry. key: the sweep's key. number: the chunk's number. failed: how many architectures have an
    error in place of rows.
    """

    key: str
    number: int
    architectures: int
    failed: int

    def to_metadata(self) -> dict[bytes, bytes]:
        """The entry in the form of Parquet's metadata."""
        text = f"{SCHEMA} {self.key} {self.number} {self.architectures} {self.failed}"
        return {_ENTRY: text.encode()}


def read_footer(metadata: Mapping[bytes, bytes] | None) -> Footer | None:
    """The footer in a file's metadata, or None for a file that is no shard."""
    words = (metadata or {}).get(_ENTRY, b"").decode("utf-8", "replace").split(" ")
    if len(words) != 5 or words[0] != SCHEMA or not all(word.isdigit() for word in words[2:]):
        return None
    return Footer(words[1], int(words[2]), int(words[3]), int(words[4]))
