"""What earlier forwards did, by what ran and with which arguments. It serves one model or a whole sweep."""

from __future__ import annotations

from collections.abc import Hashable

from addercost.trace.decompositions import Decompositions, IsCounted
from addercost.trace.reuse.fingerprint import Numbers
from addercost.trace.reuse.known import KnownCall, KnownModule
from addercost.trace.reuse.output_template import SpareTensors

_MOST_ENTRIES = 8_000
"""The most entries that are kept between models. Above that all are dropped, so that memory does not grow
during a sweep.
"""


class BlockCache:
    """Known blocks and calls.

    is_counted: see `trace.tracer.trace`; a cache may only be used with one. modules: by the numbers of the
    module and of its arguments. calls: by operator and arguments.
    """

    def __init__(self, is_counted: IsCounted | None = None) -> None:
        self.decompositions = Decompositions(is_counted)
        self.numbers = Numbers()
        self.modules: dict[tuple[int, int], KnownModule] = {}
        self.calls: dict[Hashable, KnownCall] = {}
        self._spare: dict[int, SpareTensors] = {}

    def spare(self, state: int) -> SpareTensors:
        """Unused tensors of that state."""
        return self._spare.setdefault(state, SpareTensors())

    def trim(self) -> None:
        """Drops everything if there is too much. This is safe only between models."""
        if max(len(self.modules), len(self.numbers), len(self.calls)) > _MOST_ENTRIES:
            self.modules.clear()
            self.calls.clear()
            self._spare.clear()
            self.numbers.clear()
