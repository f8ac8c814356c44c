"""Handles rows that were timed while the machine was slow: times them again, and refuses too many of them."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from pathlib import Path

from addercost.errors import CheckFailedError
from addercost.measure.bench import timed_row
from addercost.measure.devices.device import TimingDevice
from addercost.measure.journal import Entry, Journal
from addercost.measure.plan import RowPlan
from addercost.measure.runner import Effort
from addercost.measure.speed.reference import WITHIN, too_noisy
from addercost.results.measurements import MeasuredRow

AGAIN = 3
"""How often a row that was timed while the machine was slow is timed again at most."""


def is_slow(entry: Entry | None) -> bool:
    """Whether the row was timed while the machine was slow, beyond the limit of a quiet moment."""
    return isinstance(entry, MeasuredRow) and entry.speed_factor is not None and entry.speed_factor > WITHIN


def time_slow_rows_again(
    plans: Mapping[str, RowPlan],
    device: TimingDevice,
    journal: Journal,
    effort: Effort,
    again_s: float = math.inf,
    times: int = AGAIN,
) -> None:
    """Times each slow row again, at most `times` times, and no longer than `again_s` seconds in all. The
    timing with the smaller factor is kept.
    """

    def quieter(before: MeasuredRow, after: MeasuredRow) -> MeasuredRow:
        return after if (after.speed_factor or 0) < (before.speed_factor or 0) else before

    _time_again(plans, device, journal, effort, again_s, times, is_slow, quieter)


def join_more_runs(
    plans: Mapping[str, RowPlan], device: TimingDevice, journal: Journal, effort: Effort, again_s: float
) -> None:
    """Times each row again, at most `AGAIN` times and no longer than `again_s` seconds in all, and joins its
    runs. So a row has moments of several minutes, where a machine's speed differs from minute to minute too.
    """
    _time_again(plans, device, journal, effort, again_s, AGAIN, lambda row: True, joined)


def _time_again(
    plans: Mapping[str, RowPlan],
    device: TimingDevice,
    journal: Journal,
    effort: Effort,
    again_s: float,
    times: int,
    is_wanted: Callable[[MeasuredRow], bool],
    kept: Callable[[MeasuredRow, MeasuredRow], MeasuredRow],
) -> None:
    """kept: what the journal keeps of a row's timing so far and of the new one."""
    end = device.now() + again_s
    for _ in range(times):
        for key, plan in plans.items():
            before = journal.entries[key]
            if not isinstance(before, MeasuredRow) or not is_wanted(before):
                continue
            if device.now() >= end:
                return
            after = timed_row(plan, device, effort)
            if isinstance(after, MeasuredRow) and (row := kept(before, after)) is not before:
                journal.add(key, row)


def joined(one: MeasuredRow, other: MeasuredRow) -> MeasuredRow:
    """The first row with the runs of both. Its speed factor is the mean over the samples of both."""
    factors = one.speed_factor, other.speed_factor
    factor = None
    if factors[0] is not None and factors[1] is not None:
        n, m = len(one.samples_s), len(other.samples_s)
        factor = (n * factors[0] + m * factors[1]) / (n + m)
    return replace(
        one,
        samples_s=one.samples_s + other.samples_s,
        reference_samples_s=one.reference_samples_s + other.reference_samples_s,
        speed_factor=factor,
    )


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
