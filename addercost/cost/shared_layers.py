"""The time that several cores take for a layer of which each computes an equal part of the output, with the
time to wake them.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import reduce

from addercost.cost.bounds import Bound
from addercost.cost.columns import Columns
from addercost.cost.target import Target
from addercost.units import si

TOO_SMALL = "one core: too small to share"


def shared(bounds: list[Bound], target: Target, columns: Columns) -> list[Bound]:
    """From the bounds of one core's stream to those of `target.working_cores` cores that share it.

    Each core does an equal share of the work. Waking the cores takes `target.wake_up_s`, if the clock is
    known. One core does the whole layer where sharing would not be faster.
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

    # Of equal bounds the first is named as the limit.
    nothing, *others = bounds
    return [nothing, Bound(TOO_SMALL, kept), *map(of_one_core, others)]


def assumes_sharing(target: Target) -> Iterator[str]:
    """The assumptions of sharing, as sentences."""
    if target.working_cores > 1:
        if target.clock_hz is None:
            yield "no clock is known: waking the cores takes no time"
        else:
            yield f"waking the cores takes {si(target.wake_up_s, 's')}"
