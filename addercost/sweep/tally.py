"""What costing needs of an architecture: which kinds of layers it has, and how many of each. Plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from addercost.arithmetic import OpClass
from addercost.counts.model import LayerCounts
from addercost.sweep.spaces.architecture import Fact


class LayerKind(NamedTuple):
    """Layers that cost the same on every processor: equal operations, arithmetic, sites and traffic."""

    arithmetic: str | None
    counts: tuple[tuple[OpClass, str, int], ...]
    mac_sites: int
    n_bytes: int


@dataclass(frozen=True, slots=True)
class Tally:
    """How often each kind of layer occurs: the kind numbered `kinds[i]` occurs `times[i]` times.
    uncounted_calls: of operators without a rule.
    """

    kinds: tuple[int, ...]
    times: tuple[int, ...]
    uncounted_calls: int = 0

    def __reduce__(self) -> tuple[type, tuple[object, ...]]:
        # Thousands cross a pipe, and pickle looks up the fields of a dataclass every time.
        return Tally, (self.kinds, self.times, self.uncounted_calls)


@dataclass(frozen=True, slots=True)
class ArchitectureTally:
    """The counts of one architecture. error: why there are none, or None.

    tallies: one for each of `SweepSettings.combinations`. new_kinds: (number, kind) of the kinds of layers
    that the child process has not sent before.
    """

    index: int
    name: str
    facts: Mapping[str, Fact]
    parameters: int = 0
    tallies: tuple[Tally, ...] = ()
    new_kinds: tuple[tuple[int, LayerKind], ...] = ()
    error: str | None = None

    def __reduce__(self) -> tuple[type, tuple[object, ...]]:
        return ArchitectureTally, tuple([getattr(self, name) for name in self.__slots__])


def kind_of(layer: LayerCounts) -> LayerKind:
    return LayerKind(
        layer.arithmetic.value if layer.arithmetic else None,
        layer.counts.items,
        layer.mac_sites,
        layer.bytes_read + layer.bytes_written,
    )
