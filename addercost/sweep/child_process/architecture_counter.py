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
"""The largest count, since counts are summed in 64 bits."""


class ArchitectureCounter:
    """Traces and counts architectures, and keeps blocks and their counts from one architecture to the next.
    It must run in a separate process, since it changes the states of random number generators.
    """

    def __init__(self) -> None:
        self._cache = BlockCache(is_counted)
        self._counters = BlockCounters()

    def new_chunk(self) -> None:
        """Must be called before the first architecture of a chunk, when the worker knows no kinds of layers
        yet.
        """
        self._counters.trim()
        self._counters.kinds.forget_sent()

    def tally(
        self, architecture: Architecture, index: int, settings: SweepSettings, parts: Parts = NO_PARTS
    ) -> ArchitectureTally:
        """The tallies of an architecture, with kinds of layers that have these parts. If its code raises
        anything, the error is in the result.
        """
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
        """(number of parameters, the trace at each batch size), both after the what-ifs."""
        model = build(architecture.make, architecture.name)
        inputs = [architecture.inputs(batch) for batch in settings.batches]
        with user_output():
            if settings.what_if:
                # A what-if may need to know who reads a tensor, which repeated blocks do not show.
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
                # The forward may need values, may need a trace of all calls, or may not run at all. A full
                # trace shows which.
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
    """The same as `_traced`, by traces of every call."""
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
    """The error on one line, without its hint: `ModelError: …`."""
    text = " ".join(error.message.split()) if isinstance(error, AddercostError) else error_text(error)
    # A lone surrogate in the text could not be written to a shard.
    text = text.encode("utf-8", "backslashreplace").decode("utf-8")
    return f"{type(error).__name__}: {text}"[:1000].rstrip(": ")
