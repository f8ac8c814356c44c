"""A chunk that times architectures, while no other worker of the machine uses the device."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from addercost.sweep.child_process.messages import Started, TimeRequest
from addercost.sweep.child_process.supervisor import results_of_child
from addercost.sweep.chunks.chunk import ChunkResult
from addercost.sweep.measurement import ArchitectureTimes, MeasureSettings
from addercost.sweep.spaces.source import SpaceSource
from addercost.sweep.spaces.walk import duplicate_of


@dataclass(frozen=True, slots=True)
class MeasureChunk:
    """members: (index, name) of architectures. duplicates: index → index of the earlier architecture with the
    same name. timeout_s: the limit for all runs of one architecture. A limit of 0 means none.
    """

    source: SpaceSource
    settings: MeasureSettings
    key: str
    number: int
    members: tuple[tuple[int, str], ...]
    duplicates: Mapping[int, int] = field(default_factory=dict)
    timeout_s: float = 0.0
    memory_limit_bytes: int = 0

    def run(self) -> ChunkResult:
        """Times the chunk. A failure of an architecture becomes its row, not an exception."""
        from addercost.measure.devices.exclusive import exclusive
        from addercost.sweep.shards.measured_shard import measured_shard_bytes

        names = dict(self.members)
        members = [item for item in self.members if item[0] not in self.duplicates]

        def request(start: int, batched: bool) -> TimeRequest:
            return TimeRequest(
                self.source, self.settings, tuple(item for item in members if item[0] >= start)
            )

        def failed(index: int, started: Started | None, why: str) -> ArchitectureTimes:
            return ArchitectureTimes(index, names[index], error=why)

        with exclusive(self.settings.device):
            found = list(
                results_of_child(
                    request,
                    [index for index, _ in members],
                    failed,
                    timeout_s=self.timeout_s,
                    memory_limit_bytes=self.memory_limit_bytes,
                )
            )
        found += [
            ArchitectureTimes(index, names[index], error=duplicate_of(first))
            for index, first in self.duplicates.items()
        ]
        found.sort(key=lambda item: item.index)
        data = measured_shard_bytes(self.key, self.number, self.settings, found)
        return ChunkResult(self.number, len(found), sum(item.error is not None for item in found), data)
