"""Two benchmarks row by row: faster, slower, or cannot tell.

Two runs are not interleaved, so more can differ between them than the code. A row counts as changed only
where its time and its ratio to the reference, which ran beside it both times, say so alike. A reference
itself was timed again beside every row, and how far these timings lie apart is how well its time is known.
Across machines times mean nothing and only ratios are compared.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from addercost.errors import DataError
from addercost.report.tables import Column, Kind, Table
from addercost.results.environment import differences
from addercost.results.intervals import Verdict, median_interval, verdict
from addercost.results.measurements import MeasuredRow, Measurements

MARGIN = 0.05
"""Smaller changes between two runs are not told: each has its own layout of memory and its own neighbours."""

_LISTED = 6
"""So many rows that are not compared are named."""

Change = tuple[float, tuple[float, float] | None]
"""A ratio after / before, and its 95 % interval."""


@dataclass(frozen=True, slots=True)
class RowChange:
    """One row of both. time, against_reference: after / before, None where that cannot be compared."""

    before: MeasuredRow
    after: MeasuredRow
    time: Change | None
    against_reference: Change | None
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class BenchDiff:
    """rows: in the order of the second. left_out: rows of only one, and those that cannot be compared."""

    before: Measurements
    after: Measurements
    rows: tuple[RowChange, ...]
    left_out: tuple[str, ...]
    across_machines: bool
    margin: float

    def count(self, wanted: Verdict) -> int:
        return sum(row.verdict is wanted for row in self.rows)


def diff_benchmarks(
    before: Measurements, after: Measurements, across_machines: bool = False, margin: float = MARGIN
) -> BenchDiff:
    """Raises DataError where the environments differ, unless ratios across machines are wanted, and where
    nothing can be compared."""
    different = differences(before.environment, after.environment)
    if different and not across_machines:
        raise DataError(
            f"measured in different environments ({'; '.join(different[:3])})",
            "measure again in one, or compare ratios only with --across-machines",
        )
    known = {_key(row): row for row in before.rows}
    rows, left_out = [], []
    for row in after.rows:
        old = known.pop(_key(row), None)
        if old is None:
            left_out.append(f"only in the second: {_name(row)}")
        elif across_machines and not _same_reference(old, row):
            left_out.append(f"no common reference: {_name(row)}")
        else:
            times = None if across_machines else (_time(old, before), _time(row, after))
            rows.append(_compared(old, row, times, margin))
    left_out += [f"only in the first: {_name(row)}" for row in known.values()]
    if not rows:
        raise DataError(
            "the two have no row in common", "compare runs of the same shapes, arithmetics and caches"
        )
    return BenchDiff(before, after, tuple(rows), tuple(left_out), across_machines, margin)


def _key(row: MeasuredRow) -> tuple[str, ...]:
    return (row.case or row.path, row.arithmetic, row.implementation, row.dtype, row.cache)


def _same_reference(one: MeasuredRow, other: MeasuredRow) -> bool:
    return bool(one.reference) and one.reference == other.reference


def _time(row: MeasuredRow, run: Measurements) -> Change:
    """The median and its interval; for a reference the span of all its timings in the run."""
    own = f"{row.implementation} {row.dtype}"
    again = [r for r in run.rows if r.reference == own and _place(r) == _place(row) and r.reference_samples_s]
    intervals = [row.interval_s, *(median_interval(r.reference_samples_s) for r in again)]
    known = [interval for interval in intervals if interval is not None]
    if len(known) < len(intervals):
        return row.median_s, None
    return row.median_s, (min(low for low, _ in known), max(high for _, high in known))


def _place(row: MeasuredRow) -> tuple[str, ...]:
    return (row.case or row.path, row.cache)


def _compared(
    before: MeasuredRow, after: MeasuredRow, times: tuple[Change, Change] | None, margin: float
) -> RowChange:
    time = None if times is None else _change(*times)
    relative = None
    if _same_reference(before, after) and before.ratio is not None and after.ratio is not None:
        relative = _change(before.ratio, after.ratio)
    found = {verdict(change[1], margin) for change in (time, relative) if change is not None}
    return RowChange(before, after, time, relative, found.pop() if len(found) == 1 else Verdict.CANNOT_TELL)


def _change(before: Change, after: Change) -> Change:
    """The interval of a ratio of two independent medians: relative errors add as squares."""
    ratio = after[0] / before[0]
    if before[1] is None or after[1] is None:
        return ratio, None
    down = math.hypot(math.log(after[0] / after[1][0]), math.log(before[1][1] / before[0]))
    up = math.hypot(math.log(after[1][1] / after[0]), math.log(before[0] / before[1][0]))
    return ratio, (ratio * math.exp(-down), ratio * math.exp(up))


def bench_diff_table(diff: BenchDiff) -> Table:
    """One row a row of both; changes are after / before."""
    columns = [
        Column("path", "layer", Kind.PATH),
        Column("arithmetic", "as"),
        Column("implementation", "by"),
        Column("dtype", "in"),
        Column("verdict", "is"),
    ]
    if not diff.across_machines:
        columns += [
            Column("time", "time", Kind.RATIO),
            Column("time_interval", "95 %", optional=True),
        ]
    columns += [
        Column("relative", "time /\nreference", Kind.RATIO, optional=not diff.across_machines),
        Column("relative_interval", "95 % ", optional=True),
        Column("before_s", "before", Kind.QUANTITY, "s", optional=True),
        Column("after_s", "after", Kind.QUANTITY, "s", optional=True),
        Column("case", "shape", optional=True),
    ]
    rows = [
        {
            "path": row.after.path or "(model)",
            "arithmetic": row.after.arithmetic,
            "implementation": row.after.implementation,
            "dtype": row.after.dtype,
            "verdict": row.verdict.value,
            "time": row.time[0] if row.time else None,
            "time_interval": _interval(row.time),
            "relative": row.against_reference[0] if row.against_reference else None,
            "relative_interval": _interval(row.against_reference),
            "before_s": row.before.median_s,
            "after_s": row.after.median_s,
            "case": row.after.case,
        }
        for row in diff.rows
    ]
    tally = ", ".join(f"{diff.count(kind)} {kind.value}" for kind in Verdict)
    return Table(tuple(columns), rows, title=f"{diff.after.model}: {tally}", notes=tuple(_notes(diff)))


def _interval(change: Change | None) -> str | None:
    return f"{change[1][0]:.3f}–{change[1][1]:.3f}" if change is not None and change[1] is not None else None


def _notes(diff: BenchDiff) -> Iterator[str]:
    if diff.across_machines:
        yield "Across machines: only the ratio of a row to its reference, measured beside it, is compared."
    else:
        yield "Changes are after / before, of the median and of the ratio to the reference beside it."
    yield (
        f"Faster or slower: the 95 % interval of every change lies beyond 1 ± {100 * diff.margin:g} %, to "
        "the same side."
    )
    for name in ("commit", "addercost"):
        one, two = (m.environment.get(name, "not recorded") for m in (diff.before, diff.after))
        if one != two:
            yield f"{name}: {one}, then {two}"
    yield from diff.left_out[:_LISTED]
    if len(diff.left_out) > _LISTED:
        yield f"and {len(diff.left_out) - _LISTED} more rows that only one has or that cannot be compared"


def _name(row: MeasuredRow) -> str:
    return f"{row.label} {row.dtype}{f', {row.cache}' if row.cache else ''}"
