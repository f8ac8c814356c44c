"""Counts of a trace of blocks: a block is counted once, and its counts are added for each use of it. The
result is that of counting every call.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Hashable, Sequence
from typing import TypeAlias

from addercost.arithmetic import Arithmetic
from addercost.cost.layers import NO_PARTS, LayerKind, Parts, kind_of
from addercost.counts.model import count
from addercost.sweep.tally import Tally
from addercost.trace.record import OpCall, Trace
from addercost.trace.reuse.blocks import Block, BlockUse, Item, expanded

_MOST_BLOCKS = 8_000
"""The most blocks whose counts are kept. Beyond that all are dropped, so that memory does not grow with a
sweep.
"""

Counted: TypeAlias = "tuple[dict[int, int], int]"
"""How often each kind of layer occurs, by its number, and how many calls have no rule."""


class Kinds:
    """Numbers kinds of layers, and remembers which kinds were sent to the worker."""

    def __init__(self) -> None:
        self._number: dict[LayerKind, int] = {}
        self._kind: list[LayerKind] = []
        self._largest: list[float] = []
        self._sent: set[int] = set()

    def __len__(self) -> int:
        return len(self._kind)

    def number(self, kind: LayerKind) -> int:
        number = self._number.get(kind)
        if number is None:
            number = self._number[kind] = len(self._kind)
            self._kind.append(kind)
            moved = [kind.n_bytes, *(run.n_bytes for run in kind.runs or ())]
            self._largest.append(max([n for _, _, n in kind.counts] + [*moved, kind.mac_sites]))
        return number

    def largest(self, tally: Tally) -> float:
        """An upper bound on every sum over the layers of the tally."""
        largest = self._largest
        return max([largest[number] for number in tally.kinds], default=0) * sum(tally.times)

    def forget_sent(self) -> None:
        """Forgets which kinds were sent. It is called when a new chunk begins, for which the worker numbers
        kinds anew.
        """
        self._sent.clear()

    def not_yet_sent(self, tallies: Sequence[Tally]) -> tuple[tuple[int, LayerKind], ...]:
        """(number, kind) of the tallies' kinds that the worker lacks. They count as sent from now on."""
        new = {number: None for tally in tallies for number in tally.kinds if number not in self._sent}
        self._sent.update(new)
        return tuple((number, self._kind[number]) for number in new)


class BlockCounter:
    """Makes tallies by one convention and arithmetic. parts: which optional fields kinds of layers have."""

    def __init__(self, convention: str, arithmetic: str, parts: Parts, kinds: Kinds) -> None:
        self._convention = convention
        self._arithmetic = Arithmetic(arithmetic)
        self._parts = parts
        self._kinds = kinds
        self._of_block: dict[Block, Counted] = {}
        self._of_calls: dict[Hashable, Counted] = {}
        self._of_objects: dict[tuple[int, ...], tuple[Counted, Sequence[OpCall]]] = {}

    def __len__(self) -> int:
        return max(len(self._of_block) + len(self._of_calls), len(self._of_objects))

    def tally(self, items: Sequence[Item]) -> Tally:
        """The tally of a trace. There is a row for each module path, as `count` makes them. Equal rows are
        one kind; kinds are in the order of first appearance.
        """
        times, uncounted = self._counted(items)
        return Tally(tuple(times), tuple(times.values()), uncounted)

    def _counted(self, items: Sequence[Item]) -> Counted:
        paths: list[str] = []
        blocks: dict[Block, int] = {}
        calls: list[OpCall] = []
        for item in items:
            if isinstance(item, BlockUse):
                paths.append(item.path)
                block = item.block
                blocks[block] = blocks.get(block, 0) + 1
            else:
                calls.append(item)
        if not _are_disjoint(tuple(paths), frozenset([call.module for call in calls])):
            # A module that is called twice has one row. Not every cost model gives that row the sum of the
            # two calls' costs.
            return self._of(expanded(tuple(items)))
        times: dict[int, int] = {}
        uncounted = 0
        if calls:
            beside, uncounted = self._memorised(calls)
            times.update(beside)
        for block, uses in blocks.items():
            within, uncounted_within = self._of_block.get(block) or self._block(block)
            uncounted += uncounted_within * uses
            if uses == 1 and times.keys().isdisjoint(within):
                # Most blocks of a network differ in size and share no kind.
                times.update(within)
                continue
            for kind, n in within.items():
                times[kind] = times.get(kind, 0) + n * uses
        return times, uncounted

    def _block(self, block: Block) -> Counted:
        found = self._of_block[block] = self._counted(block.items)
        return found

    def _memorised(self, calls: Sequence[OpCall]) -> Counted:
        # The tracer repeats a known call as the same object. The entry refers to the objects, so that no
        # other object can get their ids.
        objects = tuple(map(id, calls))
        known = self._of_objects.get(objects)
        if known is not None:
            return known[0]
        key = tuple([(call.op, call.module, tuple(call.args.values()), call.outputs) for call in calls])
        found = self._of_calls.get(key)
        if found is None:
            found = self._of_calls[key] = self._of(calls)
        self._of_objects[objects] = found, calls
        return found

    def _of(self, calls: Sequence[OpCall]) -> Counted:
        trace = Trace("", tuple(calls), {}, {})
        counted = count(trace, self._convention, arithmetic=self._arithmetic)
        times: dict[int, int] = {}
        for layer in counted.layers:
            number = self._kinds.number(kind_of(layer, self._parts))
            times[number] = times.get(number, 0) + 1
        return times, sum(item.calls for item in counted.uncounted)


class BlockCounters:
    """One counter for each convention and arithmetic. The counters share kinds."""

    def __init__(self) -> None:
        self.kinds = Kinds()
        self._counters: dict[tuple[str, str, Parts], BlockCounter] = {}

    def of(self, convention: str, arithmetic: str, parts: Parts = NO_PARTS) -> BlockCounter:
        key = convention, arithmetic, parts
        if key not in self._counters:
            self._counters[key] = BlockCounter(*key, self.kinds)
        return self._counters[key]

    def trim(self) -> None:
        """Drops all counts when there are many of them. It must be called between chunks only."""
        if max(len(self.kinds), *map(len, self._counters.values()), 0) > _MOST_BLOCKS:
            self.kinds = Kinds()
            self._counters.clear()


@functools.lru_cache(maxsize=1024)
def _are_disjoint(uses: tuple[str, ...], modules: frozenset[str]) -> bool:
    """Whether no module path is in two of these blocks, or in one of them and among the calls outside of
    them.
    """
    if not uses:
        return True
    paths = sorted([f"{path}." for path in uses])
    if any(later.startswith(earlier) for earlier, later in itertools.pairwise(paths)):
        return False
    places = set(paths)
    for module in modules:
        place = ""
        for part in module.split(".") if module else ():
            place += f"{part}."
            if place in places:
                return False
    return True
