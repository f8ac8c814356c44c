"""A chunk to trace, in a worker: drives a child process over it and outlives whatever happens to it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from addercost.results.sweep_settings import SweepSettings
from addercost.sweep.chunk import ChunkResult
from addercost.sweep.requests import Examine
from addercost.sweep.space import SpaceSource
from addercost.sweep.supervise import findings
from addercost.sweep.tally import ArchitectureTally, LayerKind, Tally
from addercost.sweep.walk import duplicate_of


@dataclass(frozen=True, slots=True)
class Task:
    """The architectures of a space from `start` on, by their names as the sweep's own walk found them.

    duplicates: the index of the earlier architecture of that name. Limits of zero are none.
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
        """Traces, counts and costs the chunk. What an architecture does wrong becomes its row, not an
        exception.
        """
        from addercost.sweep.shard import shard_bytes

        kinds: dict[LayerKind, int] = {}
        found = sorted([*examined(self, kinds), *_duplicates(self)], key=lambda item: item.index)
        failed = sum(item.error is not None for item in found)
        return ChunkResult(self.number, len(found), failed, shard_bytes(self, found, list(kinds)))


def examined(task: Task, kinds: dict[LayerKind, int]) -> Iterator[ArchitectureTally]:
    """Tallies of a chunk but for its duplicates. Their kinds are numbered by `kinds`, which this fills."""
    numbers: dict[int, int] = {}

    def request(start: int, together: bool) -> Examine:
        # A child that has died took its numbers with it.
        numbers.clear()
        names = task.names[start - task.start :]
        return Examine(task.source, task.settings, start, names, task.duplicates, together)

    def failed(index: int, begun: ArchitectureTally | None, why: str) -> ArchitectureTally:
        blank = begun or ArchitectureTally(index, task.names[index - task.start], {})
        return replace(blank, error=why)

    for tally in findings(
        request,
        range(task.start, task.start + len(task.names)),
        failed,
        together=True,
        timeout_s=task.timeout_s,
        memory_limit_bytes=task.memory_limit_bytes,
    ):
        for number, kind in tally.new_kinds:
            numbers[number] = kinds.setdefault(kind, len(kinds))
        yield _renumbered(tally, numbers)


def _renumbered(tally: ArchitectureTally, numbers: Mapping[int, int]) -> ArchitectureTally:
    tallies = tuple(
        [
            Tally(tuple([numbers[number] for number in item.kinds]), item.times, item.uncounted_calls)
            for item in tally.tallies
        ]
    )
    return replace(tally, tallies=tallies, new_kinds=())


def _duplicates(task: Task) -> Iterator[ArchitectureTally]:
    for index, first in task.duplicates.items():
        yield ArchitectureTally(index, task.names[index - task.start], {}, error=duplicate_of(first))
