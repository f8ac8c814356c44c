"""Handles rows that were timed while the machine was slow: times them again, and refuses too many of them."""

from __future__ import annotations

import math
import statistics
from collections.abc import Collection, Mapping
from pathlib import Path

from addercost.errors import CheckFailedError
from addercost.measure.bench import TimeRow
from addercost.measure.devices.device import TimingDevice
from addercost.measure.journal import Entry, Journal
from addercost.measure.plan import RowPlan
from addercost.measure.speed.reference import WITHIN, too_noisy
from addercost.results.measurements import MeasuredRow

AGAIN = 3
"""How often a row that was timed while the machine was slow is timed again at most."""


def is_slow(entry: Entry | None, within: float = WITHIN) -> bool:
    """Whether the row was timed while the machine was slow. within: the largest factor of a quiet moment."""
    return isinstance(entry, MeasuredRow) and entry.speed_factor is not None and entry.speed_factor > within


def time_slow_rows_again(
    plans: Mapping[str, RowPlan],
    device: TimingDevice,
    journal: Journal,
    time_row: TimeRow,
    again_s: float = math.inf,
    times: int = AGAIN,
) -> None:
    """Times each slow row again, at most `times` times. The timing with the smaller factor is kept. Where
    `again_s` is given, that takes at most so many seconds in all, and slow phases are waited out.
    """
    speed, end = device.speed, device.now() + again_s
    for _ in range(times):
        for key, plan in plans.items():
            before = journal.entries[key]
            within = WITHIN if speed is None else speed.within
            if not isinstance(before, MeasuredRow) or not is_slow(before, within):
                continue
            if speed is not None and math.isfinite(again_s):
                speed.wait(end - device.now())
            if device.now() >= end:
                return
            after = time_row(plan)
            if isinstance(after, MeasuredRow) and (after.speed_factor or 0) < (before.speed_factor or 0):
                journal.add(key, after)


def refuse_noise(entries: Collection[Entry], path: Path | None, named_by: str, or_else: str = "") -> None:
    """Raises CheckFailedError where more than half of the rows were timed while the machine was slow.

    path: the journal that has the timings. named_by: the option that would have kept them. or_else: the rest
    of the hint: what a user can do on a machine that stays slow.
    """
    slow = [entry for entry in entries if isinstance(entry, MeasuredRow) and is_slow(entry)]
    if 2 * len(slow) <= len(entries):
        return
    factor = statistics.median(row.speed_factor or 1.0 for row in slow)
    kept = (
        f"all timings are kept in {path}"
        if path is not None
        else f"no timing was kept, name it with {named_by}"
    )
    quiet = len(entries) - len(slow)
    error = too_noisy("this machine", quiet, len(entries), factor, kept, what_is_timed="timings")
    raise CheckFailedError(error.message, f"{error.hint}{or_else}")
