"""A chunk to trace, in a worker: drives a child process over it and outlives whatever happens to it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from addercost.sweep.chunk import ChunkResult
from addercost.sweep.settings import SweepSettings
from addercost.sweep.space import SpaceSource
from addercost.sweep.supervise import Child, ChildDied
from addercost.sweep.tally import ArchitectureTally, LayerKind

_DEATHS = 2
"""An architecture being traced when its child died is tried once more: somebody else may have killed it."""


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

    @property
    def exclusive(self) -> bool:
        return False

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
    deaths: dict[int, int] = {}
    start, stop = task.start, task.start + len(task.names)
    while start < stop:
        child = Child.of_this_thread(task.memory_limit_bytes)
        current: ArchitectureTally | None = None
        numbers: dict[int, int] = {}
        try:
            child.send((task.source, task.settings, start, task.names[start - task.start :], task.duplicates))
            while True:
                tally = child.receive(task.timeout_s if current is not None else 0.0)
                if tally is None:
                    return
                if tally.begins:
                    current = tally
                    continue
                current = None
                start = tally.index + 1
                for number, kind in tally.new_kinds:
                    numbers[number] = kinds.setdefault(kind, len(kinds))
                yield _renumbered(tally, numbers)
        except ChildDied as death:
            # Death between two architectures, or before the first, is charged to the next.
            index = current.index if current is not None else start
            deaths[index] = deaths.get(index, 0) + 1
            if death.timed_out or deaths[index] >= _DEATHS:
                failed = current or ArchitectureTally(index, task.names[index - task.start], {})
                yield replace(failed, error=str(death))
                start = index + 1


def _renumbered(tally: ArchitectureTally, numbers: Mapping[int, int]) -> ArchitectureTally:
    tallies = tuple(
        replace(item, kinds=tuple([numbers[number] for number in item.kinds])) for item in tally.tallies
    )
    return replace(tally, tallies=tallies, new_kinds=())


def _duplicates(task: Task) -> Iterator[ArchitectureTally]:
    for index, first in task.duplicates.items():
        text = f"duplicate name: architecture {first} is called so too"
        yield ArchitectureTally(index, task.names[index - task.start], {}, error=text)
