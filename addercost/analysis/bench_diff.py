"""Two benchmarks row by row: faster, slower, or cannot tell.

Two runs are not interleaved, so more than the code can differ between them. A row counts as changed only
where its time and its ratio to the reference, which was timed in turn with it, both changed in the same
direction. A reference was timed anew for every row, and the spread of these timings is the uncertainty of its
time. Between two machines only ratios are compared.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from addercost.errors import DataError
from addercost.results.environment import differences
from addercost.results.intervals import RatioOutcome, median_interval, verdict
from addercost.results.measurements import MeasuredRow, Measurements

MARGIN = 0.05
"""A smaller change has no verdict, since runs differ in memory layout and in other programs on the
machine.
"""

WithInterval = tuple[float, tuple[float, float] | None]
"""A value, and its 95 % interval where there is one."""


@dataclass(frozen=True, slots=True)
class RowChange:
    """A row that both benchmarks have.

    time: the second median / the first, with interval. against_reference: the second ratio to the reference /
    the first. None where these cannot be compared.
    """

    before: MeasuredRow
    after: MeasuredRow
    time: WithInterval | None
    against_reference: WithInterval | None
    verdict: RatioOutcome


@dataclass(frozen=True, slots=True)
class BenchDiff:
    """rows: in the order of the second benchmark.

    left_out: a line for each row that only one benchmark has, or that cannot be compared.
    """

    before: Measurements
    after: Measurements
    rows: tuple[RowChange, ...]
    left_out: tuple[str, ...]
    across_machines: bool
    margin: float

    def count(self, wanted: RatioOutcome) -> int:
        return sum(row.verdict is wanted for row in self.rows)


def diff_benchmarks(
    before: Measurements, after: Measurements, across_machines: bool = False, margin: float = MARGIN
) -> BenchDiff:
    """Compares two benchmarks. across_machines: environments may differ, and only ratios are compared.

    Raises DataError where the environments differ otherwise, and where no row can be compared.
    """
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


def _time(row: MeasuredRow, run: Measurements) -> WithInterval:
    """(the median, its interval). The interval of a reference spans those of all its timings in the run."""
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
    before: MeasuredRow, after: MeasuredRow, times: tuple[WithInterval, WithInterval] | None, margin: float
) -> RowChange:
    time = None if times is None else _change(*times)
    relative = None
    if _same_reference(before, after) and before.ratio is not None and after.ratio is not None:
        relative = _change(before.ratio, after.ratio)
    found = {verdict(change[1], margin) for change in (time, relative) if change is not None}
    return RowChange(
        before, after, time, relative, found.pop() if len(found) == 1 else RatioOutcome.CANNOT_TELL
    )


def _change(before: WithInterval, after: WithInterval) -> WithInterval:
    """The ratio of two independent medians, with its interval: the squares of relative errors are added."""
    ratio = after[0] / before[0]
    if before[1] is None or after[1] is None:
        return ratio, None
    down = math.hypot(math.log(after[0] / after[1][0]), math.log(before[1][1] / before[0]))
    up = math.hypot(math.log(after[1][1] / after[0]), math.log(before[0] / before[1][0]))
    return ratio, (ratio * math.exp(-down), ratio * math.exp(up))


def _name(row: MeasuredRow) -> str:
    return f"{row.label} {row.dtype}{f', {row.cache}' if row.cache else ''}"
