"""The layer table for readers: name, share and cost come first, and columns with only zeros are left out."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from addercost.analysis.layer_rows import labelled_costs
from addercost.report.table import Column, Kind, Table
from addercost.report.tables.layers import layer_table
from addercost.results.profile import Profile

GLANCE = 30
"""The most rows that a reader can survey. If there are more, modules are summed at first."""


def layers_cost_first(profile: Profile, most: int, folds: bool = False) -> Table:
    """`layer_table` with seconds beside cycles, and with its columns in the order for readers.

    most: the most rows. If there are more layers, the largest keep their rows, and the others become one row.
    folds: whether modules are summed first.
    """
    costs = labelled_costs(profile)
    depth = block_depths(profile, most)[1] if folds else None
    table = layer_table(profile, depth)
    if len(table.rows) > most:
        basis = f"cycles@{next(iter(costs))}" if costs else "share"
        table = layer_table(profile, depth, sort=basis, top=most - 1)
    table = _with_seconds(table, profile)
    kept = [c for c in table.columns if c.is_text or any(row.get(c.name) for row in table.rows)]
    return replace(table, columns=tuple(sorted(kept, key=_place)))


def block_depths(profile: Profile, most: int = GLANCE) -> tuple[tuple[int, ...], int | None]:
    """(the depths to which modules can be summed, the finest depth with at most `most` rows or None if all
    layers fit).
    """
    paths = [layer.path.split(".") for layer in profile.counts.layers]
    depths = tuple(range(1, max(map(len, paths), default=1)))
    if len(paths) <= most:
        return depths, None
    few = [d for d in depths if len({tuple(path[:d]) for path in paths}) <= most]
    return depths, max(few, default=depths[0] if depths else None)


def _with_seconds(table: Table, profile: Profile) -> Table:
    """The table with a column of seconds for every estimate that has a clock and no interval."""
    rates = {
        name: rate
        for name, cost in labelled_costs(profile).items()
        if cost.interval_s is None and (rate := cost.seconds_per_cycle)
    }
    columns: list[Column] = []
    for column in table.columns:
        name = column.name.removeprefix("cycles@")
        if name != column.name and name in rates:
            title = column.title.replace("cycles", "time", 1)
            columns.append(Column(f"seconds@{name}", title, Kind.QUANTITY, "s"))
        columns.append(column)

    def timed(row: Any) -> dict[str, Any]:
        return {**row, **{f"seconds@{name}": row[f"cycles@{name}"] * rate for name, rate in rates.items()}}

    total = timed(table.total) if table.total else table.total
    return replace(table, columns=tuple(columns), rows=[timed(row) for row in table.rows], total=total)


def _place(column: Column) -> int:
    """The position of a column. Columns with equal positions keep their order."""
    first = (
        "path",
        "share",
        "seconds@",
        "low_s@",
        "high_s@",
        "energy_j@",
        "type",
        "output_shape",
        "parameters",
    )
    last = ("cycles@", "calls", "output_shapes", "nodes")
    if column.name.startswith(last):
        return len(first) + 1
    return next((i for i, start in enumerate(first) if column.name.startswith(start)), len(first))
