"""What a worker asks of its child process."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from addercost.results.sweep_settings import SweepSettings
from addercost.sweep.measured import MeasureSettings
from addercost.sweep.space import SpaceSource


@dataclass(frozen=True, slots=True)
class Examine:
    """Trace and count the architectures of a space from `start` on, but for those in `skip`.

    together: findings may come some milliseconds late, several at a time.
    """

    source: SpaceSource
    settings: SweepSettings
    start: int
    names: Sequence[str]
    skip: Collection[int]
    together: bool = False


@dataclass(frozen=True, slots=True)
class Time:
    """Time forwards of the architectures with these indices and names, in rising order."""

    source: SpaceSource
    settings: MeasureSettings
    members: Sequence[tuple[int, str]]
