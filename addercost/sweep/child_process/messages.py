"""The requests of a worker to its child process, and the message `Started` before each result."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from addercost.cost.layers import Parts
from addercost.results.sweep_settings import SweepSettings
from addercost.sweep.measurement import MeasureSettings
from addercost.sweep.spaces.architecture import Fact
from addercost.sweep.spaces.source import SpaceSource


@dataclass(frozen=True, slots=True)
class TallyRequest:
    """Asks to trace and count the architectures from index `start` on, which have these names, except those
    in `skip`. The answer is an `ArchitectureTally` for each.

    parts: which optional fields kinds of layers have. batched: messages may be delayed by some milliseconds
    and sent together.
    """

    source: SpaceSource
    settings: SweepSettings
    start: int
    names: Sequence[str]
    skip: Collection[int]
    parts: Parts
    batched: bool = False


@dataclass(frozen=True, slots=True)
class TimeRequest:
    """Asks to time forwards of the architectures with these indices and names, in rising order. The answer is
    an `ArchitectureTimes` for each.
    """

    source: SpaceSource
    settings: MeasureSettings
    members: Sequence[tuple[int, str]]


@dataclass(frozen=True, slots=True)
class Started:
    """Says that the child begins with an architecture. Its result follows."""

    index: int
    name: str
    facts: Mapping[str, Fact]

    def __reduce__(self) -> tuple[type, tuple[object, ...]]:
        # Thousands cross the pipe, and pickle looks up the fields of a dataclass every time.
        return Started, (self.index, self.name, self.facts)
