"""An architecture as what costing needs of it: which kinds of layers it has, and how many of each. Plain
data.
"""

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
    """How often each kind of layer occurs: kind `kinds[i]`, by number, `times[i]` times. And how many calls
    no rule could count.
    """

    kinds: tuple[int, ...]
    times: tuple[int, ...]
    uncounted_calls: int = 0

    def __reduce__(self) -> tuple[type, tuple[object, ...]]:
        # Thousands cross a pipe; a dataclass's own way to be pickled asks for its fields every time.
        return Tally, (self.kinds, self.times, self.uncounted_calls)


@dataclass(frozen=True, slots=True)
class ArchitectureTally:
    """Everything a worker found out about one architecture; `error` says why it found out nothing.

    tallies: one for each of `SweepSettings.combinations`. new_kinds: kinds by number that were not told
    before.
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
