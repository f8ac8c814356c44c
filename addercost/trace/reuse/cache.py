"""What earlier forwards did, by what ran and what it was given: for one model or for a whole sweep."""

from __future__ import annotations

from collections.abc import Hashable

from addercost.trace.decompositions import Decompositions, IsCounted
from addercost.trace.reuse.fingerprint import Numbers
from addercost.trace.reuse.known import KnownCall, KnownModule
from addercost.trace.reuse.output_template import SpareTensors

_MOST_ENTRIES = 8_000
"""Entries kept between models. Past it all of them are dropped, so that memory does not grow with a sweep."""


class BlockCache:
    """is_counted: see `trace.tracer.trace`; one cache serves one reader of traces.

    modules: by the numbers of the module and of its arguments. calls: by operator and arguments.
    """

    def __init__(self, is_counted: IsCounted | None = None) -> None:
        self.decompositions = Decompositions(is_counted)
        self.numbers = Numbers()
        self.modules: dict[tuple[int, int], KnownModule] = {}
        self.calls: dict[Hashable, KnownCall] = {}
        self._spare: dict[int, SpareTensors] = {}

    def spare(self, state: int) -> SpareTensors:
        """The unused tensors of that state."""
        return self._spare.setdefault(state, SpareTensors())

    def trim(self) -> None:
        """Drops everything when there is much of it. Only between models."""
        if max(len(self.modules), len(self.numbers), len(self.calls)) > _MOST_ENTRIES:
            self.modules.clear()
            self.calls.clear()
            self._spare.clear()
            self.numbers.clear()
