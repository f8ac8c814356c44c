"""The counts of an architecture that costing needs: how many layers of each kind it has. Plain data."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from addercost.cost.layers import LayerKind
from addercost.sweep.spaces.architecture import Fact

if TYPE_CHECKING:
    from scipy.sparse import csr_array


@dataclass(frozen=True, slots=True)
class Tally:
    """How often each kind of layer occurs: the kind numbered `kinds[i]` occurs `times[i]` times.
    uncounted_calls: the number of calls of operators without a rule.
    """

    kinds: tuple[int, ...]
    times: tuple[int, ...]
    uncounted_calls: int = 0

    def __reduce__(self) -> tuple[type, tuple[object, ...]]:
        # Thousands cross a pipe, and pickle looks up the fields of a dataclass every time.
        return Tally, (self.kinds, self.times, self.uncounted_calls)


@dataclass(frozen=True, slots=True)
class ArchitectureTally:
    """The counts of one architecture. error: the reason why there are none, or None.

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


def occurrences(tallies: Sequence[Tally], kinds: int) -> csr_array:
    """[A, L]: how often each of L kinds of layers occurs in each of A counted architectures."""
    import numpy as np
    from scipy.sparse import csr_array

    ends = np.cumsum([0, *(len(tally.kinds) for tally in tallies)])
    columns = np.fromiter(itertools.chain.from_iterable(t.kinds for t in tallies), np.int64, ends[-1])
    times = np.fromiter(itertools.chain.from_iterable(t.times for t in tallies), np.int64, ends[-1])
    return csr_array((times, columns, ends), shape=(len(tallies), kinds))
