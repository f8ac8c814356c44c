"""A chunk that traces, counts and costs architectures in a worker, even if its child process dies."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from addercost.cost.layers import LayerKind
from addercost.results.sweep_settings import SweepSettings
from addercost.sweep.child_process.messages import Started, TallyRequest
from addercost.sweep.child_process.supervisor import results_of_child
from addercost.sweep.chunks.chunk import ChunkResult
from addercost.sweep.spaces.source import SpaceSource
from addercost.sweep.spaces.walk import duplicate_of
from addercost.sweep.tally import ArchitectureTally, Tally


@dataclass(frozen=True, slots=True)
class TraceChunk:
    """The architectures of a space from index `start` on.

    names: the names that the sweep's own walk found. duplicates: index → index of the earlier architecture
    with the same name. key: the key of the sweep. timeout_s: the limit for one architecture. A limit of 0
    means none.
    """

    source: SpaceSource
    settings: SweepSettings
    key: str
    number: int
    start: int
    names: tuple[str, ...]
    duplicates: Mapping[int, int] = field(default_factory=dict)
    timeout_s: float = 0.0
    memory_limit_bytes: int = 0

    def run(self) -> ChunkResult:
        """Makes the shard. A failure of an architecture becomes its row, not an exception."""
        from addercost.sweep.shards.sweep_shard import shard_bytes

        kinds: dict[LayerKind, int] = {}
        found = sorted([*tallies_of(self, kinds), *_duplicates(self)], key=lambda item: item.index)
        failed = sum(item.error is not None for item in found)
        data = shard_bytes(self.key, self.number, self.settings, found, list(kinds))
        return ChunkResult(self.number, len(found), failed, data)


def tallies_of(chunk: TraceChunk, kinds: dict[LayerKind, int]) -> Iterator[ArchitectureTally]:
    """The tallies of a chunk without its duplicates. They use the numbers of `kinds`, to which new kinds are
    added.
    """
    numbers: dict[int, int] = {}
    parts = chunk.settings.parts

    def request(start: int, batched: bool) -> TallyRequest:
        # A new child numbers the kinds of layers anew.
        numbers.clear()
        names = chunk.names[start - chunk.start :]
        return TallyRequest(chunk.source, chunk.settings, start, names, chunk.duplicates, parts, batched)

    def failed(index: int, started: Started | None, why: str) -> ArchitectureTally:
        facts = started.facts if started is not None else {}
        return ArchitectureTally(index, chunk.names[index - chunk.start], facts, error=why)

    for tally in results_of_child(
        request,
        range(chunk.start, chunk.start + len(chunk.names)),
        failed,
        batched=True,
        timeout_s=chunk.timeout_s,
        memory_limit_bytes=chunk.memory_limit_bytes,
    ):
        for number, kind in tally.new_kinds:
            numbers[number] = kinds.setdefault(kind, len(kinds))
        yield _renumbered(tally, numbers)


def _renumbered(tally: ArchitectureTally, numbers: Mapping[int, int]) -> ArchitectureTally:
    """The tally with the child's numbers of kinds replaced by the worker's."""
    tallies = tuple(
        [
            Tally(tuple([numbers[number] for number in item.kinds]), item.times, item.uncounted_calls)
            for item in tally.tallies
        ]
    )
    return replace(tally, tallies=tallies, new_kinds=())


def _duplicates(chunk: TraceChunk) -> Iterator[ArchitectureTally]:
    for index, first in chunk.duplicates.items():
        yield ArchitectureTally(index, chunk.names[index - chunk.start], {}, error=duplicate_of(first))
