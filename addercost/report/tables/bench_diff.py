"""Two benchmarks row by row, as a table."""

from __future__ import annotations

from collections.abc import Iterator

from addercost.analysis.bench_diff import BenchDiff, WithInterval
from addercost.report.table import Column, Kind, Table
from addercost.results.intervals import RatioOutcome

_LISTED = 6
"""How many of the rows that cannot be compared are named; the others are counted."""


def bench_diff_table(diff: BenchDiff) -> Table:
    """A row for each row that both benchmarks have. A change is the time after / the time before."""
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
    tally = ", ".join(f"{diff.count(kind)} {kind.value}" for kind in RatioOutcome)
    return Table(tuple(columns), rows, title=f"{diff.after.model}: {tally}", notes=tuple(_notes(diff)))


def _interval(change: WithInterval | None) -> str | None:
    return f"{change[1][0]:.3f}–{change[1][1]:.3f}" if change is not None and change[1] is not None else None


def _notes(diff: BenchDiff) -> Iterator[str]:
    if diff.across_machines:
        yield "Across machines: only the ratio of a row to its reference, measured beside it, is compared."
    else:
        yield "Changes are after / before, of the median and of the ratio to the reference beside it."
    yield (
        f"Faster or slower: the 95 % interval of every change is beyond 1 ± {100 * diff.margin:g} %, to "
        "the same side."
    )
    for name in ("commit", "addercost"):
        one, two = (m.environment.get(name, "not recorded") for m in (diff.before, diff.after))
        if one != two:
            yield f"{name}: {one}, then {two}"
    yield from diff.left_out[:_LISTED]
    if len(diff.left_out) > _LISTED:
        yield f"and {len(diff.left_out) - _LISTED} more rows that only one has or that cannot be compared"
