"""One architecture in the child process: built, traced at every batch size, counted in every combination."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from addercost.cost.layers import NO_PARTS, Parts
from addercost.counts.call_work import is_counted
from addercost.counts.what_if import apply
from addercost.errors import AddercostError, TraceError
from addercost.results.sweep_settings import SweepSettings
from addercost.sources.build import build, user_output
from addercost.sweep.child_process.block_counts import BlockCounters
from addercost.sweep.spaces.architecture import Architecture
from addercost.sweep.tally import ArchitectureTally, Tally
from addercost.text import error_text
from addercost.trace.reuse.blocks import Item
from addercost.trace.reuse.tracer import BlockCache, trace_blocks
from addercost.trace.tracer import trace

if TYPE_CHECKING:
    from torch import nn

_LARGEST = 1 << 62
"""Counts are summed in 64 bits."""


class ArchitectureCounter:
    """Keeps blocks and their counts from one architecture to the next. For a process of its own: the states
    of random number generators are not preserved.
    """

    def __init__(self) -> None:
        self._cache = BlockCache(is_counted)
        self._counters = BlockCounters()

    def new_chunk(self) -> None:
        """Call it before the first architecture of a chunk: the worker then knows no kinds of layers yet."""
        self._counters.trim()
        self._counters.kinds.forget_sent()

    def tally(
        self, architecture: Architecture, index: int, settings: SweepSettings, parts: Parts = NO_PARTS
    ) -> ArchitectureTally:
        """Its tallies, of kinds of layers with these parts; or, whatever its code raises, what was raised."""
        name = architecture.name
        try:
            parameters, traced = self._traced(architecture, settings)
            tallies = tuple(
                self._counters.of(convention, arithmetic, parts).tally(items)
                for items in traced
                for convention in settings.conventions
                for arithmetic in settings.arithmetics
            )
            self._require_64_bits(tallies)
            new = self._counters.kinds.not_yet_sent(tallies)
            return ArchitectureTally(index, name, architecture.facts, parameters, tallies, new)
        except (Exception, SystemExit) as error:
            return ArchitectureTally(index, name, architecture.facts, error=described(error))

    def _traced(
        self, architecture: Architecture, settings: SweepSettings
    ) -> tuple[int, list[tuple[Item, ...]]]:
        """(number of parameters, what a forward did at each batch size), both after the changes."""
        model = build(architecture.make, architecture.name)
        inputs = [architecture.inputs(batch) for batch in settings.batches]
        with user_output():
            if settings.what_if:
                # A change may ask who reads a tensor, which repeated blocks do not say.
                return _whole(model, architecture, inputs, settings.what_if)
            try:
                found = trace_blocks(
                    model,
                    inputs,
                    name=architecture.name,
                    cache=self._cache,
                    stand_ins=architecture.stand_ins,
                    keep_random=False,
                )
                return found[0].parameter_count, [made.items for made in found]
            except TraceError:
                # The forward may need values, or have to be traced whole, or not run at all: a full trace
                # finds out.
                return _whole(model, architecture, inputs)

    def _require_64_bits(self, tallies: tuple[Tally, ...]) -> None:
        if any(self._counters.kinds.largest(tally) > _LARGEST for tally in tallies):
            raise OverflowError("its counts do not fit into 64 bits")


def _whole(
    model: nn.Module,
    architecture: Architecture,
    inputs: Sequence[tuple[tuple[Any, ...], Mapping[str, Any]]],
    what_if: Sequence[str] = (),
) -> tuple[int, list[tuple[Item, ...]]]:
    """The same by traces of every call."""
    make = architecture.make_whole or architecture.make
    if architecture.make_whole is not None:
        model = build(make, architecture.name)
    traces = []
    for args, kwargs in inputs:
        made = trace(model, *args, kwargs=kwargs, name=architecture.name, rebuild=make, is_counted=is_counted)
        for change in what_if:
            made = apply(made, change)
        traces.append(made)
    return traces[0].parameter_count, [made.calls for made in traces]


def described(error: BaseException) -> str:
    """One line, without the hint: `ModelError: …`."""
    text = " ".join(error.message.split()) if isinstance(error, AddercostError) else error_text(error)
    # A lone surrogate in it could not be written to a shard.
    text = text.encode("utf-8", "backslashreplace").decode("utf-8")
    return f"{type(error).__name__}: {text}"[:1000].rstrip(": ")
