"""An open space, which gives its architectures from any index on."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

from addercost.sweep.spaces.architecture import Architecture
from addercost.sweep.spaces.kinds import space_kind
from addercost.sweep.spaces.members import as_architecture
from addercost.sweep.spaces.source import SpaceSource


class Space:
    """The members of a source. A sequence is entered at any index; a generator is walked to that index."""

    def __init__(self, source: SpaceSource) -> None:
        self.source = source
        self._members = space_kind(source.spec).members(source)
        self._iterator: Iterator[Any] | None = None
        self._position = 0

    def names(self) -> Iterator[str]:
        """Every name in order. Raises ModelError where a member is not what it should be."""
        for index, member in enumerate(self._iterated()):
            yield as_architecture(member, index, self.source.spec).name

    def slice(self, start: int, stop: int) -> Iterator[Architecture]:
        """The members from `start` to `stop` (excluded), fewer where the space ends before."""
        if isinstance(self._members, Sequence):
            for index in range(start, min(stop, len(self._members))):
                yield as_architecture(self._members[index], index, self.source.spec)
            return
        # A worker gets its chunks in rising order, so it walks a generator once and not once for each chunk.
        if self._iterator is None or self._position > start:
            self._iterator, self._position = self._iterated(), 0
        for member in itertools.islice(self._iterator, start - self._position, stop - self._position):
            index = max(self._position, start)
            self._position = index + 1
            yield as_architecture(member, index, self.source.spec)

    def _iterated(self) -> Iterator[Any]:
        members = self._members
        return iter(members() if callable(members) else members)
