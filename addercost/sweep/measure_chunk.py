"""A chunk to time, in a worker that has the device for itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from addercost.sweep.chunk import ChunkResult
from addercost.sweep.measured import ArchitectureTimes, MeasureSettings
from addercost.sweep.requests import Time
from addercost.sweep.space import SpaceSource
from addercost.sweep.supervise import findings
from addercost.sweep.walk import duplicate_of


@dataclass(frozen=True, slots=True)
class MeasureChunk:
    """Architectures by index and name. duplicates: the index of the earlier architecture of that name.

    Limits of zero are none; timeout_s: for one architecture, all its runs.
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
        """What an architecture does wrong becomes its row, not an exception."""
        from addercost.measure.devices.exclusive import exclusive
        from addercost.sweep.measured_shard import measured_shard_bytes

        names = dict(self.members)
        members = [item for item in self.members if item[0] not in self.duplicates]

        def request(start: int, together: bool) -> Time:
            return Time(self.source, self.settings, tuple(item for item in members if item[0] >= start))

        def failed(index: int, begun: ArchitectureTimes | None, why: str) -> ArchitectureTimes:
            return replace(begun or ArchitectureTimes(index, names[index]), error=why)

        with exclusive(self.settings.device):
            found = list(
                findings(
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
