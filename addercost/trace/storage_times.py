"""When the memory of each tensor is allocated, and when it is freed, while a model is traced.

A tensor without data also has a storage, which lives as long as it would with data: as long as a variable of
the model, its caller or the autograd graph refers to it. This therefore notices what the caller's variables
keep alive, which the arguments of operators do not show.
"""

from __future__ import annotations

import weakref
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from torch import Tensor

from addercost.trace.record import ACTIVATION, GRADIENT, Storage
from addercost.trace.sparse import stored_values


class PastStorage(NamedTuple):
    """A storage that a part of a run made. made, freed: counted from its first call. survivor: its number
    among the storages that outlive the part, which were given; None for one that does not.
    """

    n_bytes: int
    made: int
    freed: int | None
    survivor: int | None


class StorageTimes:
    """The storages that a run uses. calls: returns how many calls are recorded so far."""

    def __init__(self, calls: Callable[[], int]) -> None:
        self._calls = calls
        self._entries: list[_Entry] = []
        self._live: dict[int, tuple[Any, _Entry]] = {}
        """By the storage's address. The weak reference is kept, because otherwise its callback would not be
        called.
        """

    def made(self, values: Any) -> None:
        """Records the storages of tensors that the call after the recorded ones made. Tensors may be in
        lists.

        A storage that is already recorded keeps its record.
        """
        if isinstance(values, list | tuple):
            for value in values:
                self.made(value)
            return
        storage = _storage(values)
        if storage is None:
            return
        if storage._cdata in self._live:
            return
        entry = _Entry(storage.nbytes(), ACTIVATION, self._calls())
        self._entries.append(entry)
        self._watch(storage, entry)

    def _watch(self, storage: Any, entry: _Entry) -> None:
        """Writes into the entry when the storage is freed."""
        key, live = storage._cdata, self._live

        def freed(_: Any) -> None:
            entry.freed = self._calls() - 1
            live.pop(key, None)

        live[key] = weakref.ref(storage, freed), entry

    def given(self, tensors: Iterable[tuple[str, Tensor]]) -> None:
        """Records the storages of tensors that existed before the run and outlive it, each with its kind."""
        noted: set[int] = set()
        for kind, tensor in tensors:
            stored = stored_values(tensor)
            if stored is not None:
                if id(tensor) not in noted:
                    noted.add(id(tensor))
                    values, indices = stored
                    self._entries.append(_Entry(values * tensor.dtype.itemsize + indices, kind, -1))
                continue
            storage = _storage(tensor)
            if storage is None or storage._cdata in noted:
                continue
            noted.add(storage._cdata)
            known = self._live.get(storage._cdata)
            if known is None:
                self._entries.append(_Entry(storage.nbytes(), kind, -1))
            else:
                known[1].kind, known[1].made = kind, -1

    def gradients(self, tensors: Iterable[Tensor | None]) -> None:
        """Records that these tensors, which calls made, are gradients of parameters."""
        for tensor in tensors:
            storage = _storage(tensor)
            known = self._live.get(storage._cdata) if storage is not None else None
            if known is not None:
                known[1].kind = GRADIENT

    def accumulated(self, out: Tensor) -> None:
        """Records that autograd added two gradients.

        While a dispatch mode is active it does so out of place. Otherwise it adds in place to a gradient that
        nothing else refers to.
        """
        known = self._live.get(out.untyped_storage()._cdata)
        if known is not None:
            known[1].accumulates = True

    def since(self, count: int, first: int, survivors: Sequence[Any]) -> tuple[PastStorage, ...] | None:
        """What was noted after the first `count` storages, in a part of the run that began at call `first`;
        None where more outlives it than `survivors`.
        """
        numbers = {}
        for number, storage in enumerate(survivors):
            if storage._cdata in self._live:
                numbers[id(self._live[storage._cdata][1])] = number
        found = []
        for entry in self._entries[count:]:
            survivor = numbers.get(id(entry))
            if (entry.freed is None) != (survivor is not None) or entry.kind != ACTIVATION:
                return None
            freed = None if entry.freed is None else entry.freed - first
            found.append(PastStorage(entry.n_bytes, entry.made - first, freed, survivor))
        return tuple(found)

    def repeat(self, part: Iterable[PastStorage], first: int, survivors: Sequence[Any]) -> None:
        """Notes the storages of such a part once more, as of one that began at call `first`."""
        for n_bytes, made, freed, survivor in part:
            entry = _Entry(n_bytes, ACTIVATION, first + made)
            self._entries.append(entry)
            if freed is not None:
                entry.freed = first + freed
            elif survivor is not None:
                self._watch(survivors[survivor], entry)

    def forget_since(self, count: int) -> None:
        """Drops what was recorded after the first `count` storages, because those calls are not recorded
        either.
        """
        del self._entries[count:]

    def __len__(self) -> int:
        return len(self._entries)

    def storages(self, kept: Sequence[int]) -> tuple[Storage, ...]:
        """All storages. Those that are still in use outlive the run.

        kept: indices of the recorded calls that stay in the trace. If another call allocated a storage, the
        next call that stays counts as having allocated it.
        """
        found = []
        for entry in self._in_place():
            made, freed = entry.made, entry.freed
            if made >= 0:
                made = min(bisect_left(kept, made), len(kept) - 1)
            if freed is not None:
                freed = max(made, bisect_right(kept, freed) - 1)
            found.append(Storage(entry.n_bytes, entry.kind, made, freed))
        return tuple(found)

    def _in_place(self) -> list[_Entry]:
        """The entries, in which a sum of gradients takes the place of the gradient that its addition
        frees.
        """
        if not any(entry.accumulates for entry in self._entries):
            return self._entries
        ending = {(entry.freed, entry.n_bytes): entry for entry in self._entries if entry.made >= 0}
        kept = []
        for entry in self._entries:
            summand = ending.get((entry.made, entry.n_bytes)) if entry.accumulates else None
            if summand is None or summand is entry:
                kept.append(entry)
                continue
            summand.freed, summand.kind = entry.freed, entry.kind
            ending[summand.freed, summand.n_bytes] = summand
        return kept


class _Entry:
    __slots__ = ("accumulates", "freed", "kind", "made", "n_bytes")

    def __init__(self, n_bytes: int, kind: str, made: int) -> None:
        self.n_bytes, self.kind, self.made = n_bytes, kind, made
        self.freed: int | None = None
        self.accumulates = False


def _storage(value: Any) -> Any:
    """A tensor's storage; None for a tensor without a single storage, such as a sparse one."""
    if not isinstance(value, Tensor):
        return None
    try:
        return value.untyped_storage()
    except RuntimeError:
        return None
