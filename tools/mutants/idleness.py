"""Measures how long a process and all processes that it started have slept: none ran or waited for a
processor.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Process:
    """A line of /proc/<pid>/stat. state: a letter, S for a process that waits for an event. used: processor
    time in ticks, with that of the children that it has waited for.
    """

    parent: int
    state: str
    used: int


@dataclass
class Idleness:
    """Counts looks and not seconds, since all processes may be stopped for minutes between two looks."""

    pid: int
    looks: int = 0
    _used: int = -1

    def look(self, processes: Mapping[int, Process]) -> None:
        members = list(_tree(self.pid, processes))
        used = sum(one.used for one in members)
        waits = all(one.state in "SZX" for one in members)
        self.looks = self.looks + 1 if waits and used == self._used else 0
        self._used = used


def running_processes() -> dict[int, Process]:
    """All processes of the machine by their ids."""
    found = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            _, _, rest = (entry / "stat").read_text(errors="replace").rpartition(")")
        except OSError:  # The process has ended meanwhile.
            continue
        state, parent, *numbers = rest.split()
        found[int(entry.name)] = Process(int(parent), state, sum(map(int, numbers[9:13])))
    return found


def _tree(pid: int, processes: Mapping[int, Process]) -> Iterator[Process]:
    children = defaultdict(list)
    for one, process in processes.items():
        children[process.parent].append(one)
    waiting = [pid]
    while waiting:
        one = waiting.pop()
        if one in processes:
            yield processes[one]
        waiting += children[one]
