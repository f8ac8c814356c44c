"""What several cores take for a layer that they share by its output: the same work on each, and a start."""

from __future__ import annotations

from collections.abc import Iterator
from functools import reduce

from addercost.cost.bounds import Bound
from addercost.cost.columns import Columns
from addercost.cost.target import Target
from addercost.units import si

TOO_SMALL = "one core: too small to share"


def shared(bounds: list[Bound], target: Target, columns: Columns) -> list[Bound]:
    """The bounds of one core's stream for `target.working_cores` of them.

    Each core has its share of the work, and waking them takes a while, at a known clock. One core does the
    whole layer where that takes no longer.
    """
    if target.working_cores == 1:
        return bounds
    wake = target.wake_up_s * target.clock_hz if target.clock_hz is not None else 0.0
    alone = reduce(columns.maximum, [bound.cycles for bound in bounds])
    gained = columns.maximum(alone - alone / target.working_cores - wake, 0)
    kept = alone - columns.where(gained, alone)

    def of_one_core(bound: Bound) -> Bound:
        divided = columns.where(gained, bound.cycles / target.working_cores + wake)
        return Bound(bound.name, divided + columns.where(kept, bound.cycles))

    # The first of equal bounds is the one that is named.
    nothing, *others = bounds
    return [nothing, Bound(TOO_SMALL, kept), *map(of_one_core, others)]


def assumes_sharing(target: Target) -> Iterator[str]:
    """What sharing takes for granted."""
    if target.working_cores > 1:
        if target.clock_hz is None:
            yield "no clock is known: waking the cores takes no time"
        else:
            yield f"waking the cores takes {si(target.wake_up_s, 's')}"
