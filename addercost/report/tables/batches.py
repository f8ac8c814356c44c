"""Joins the tables of several batch sizes: each size has columns for operations, costs and memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from addercost.arithmetic import OpClass
from addercost.report.table import Column, Kind, Table

_SHARED = ("path", "type", "model", "arithmetic", "parameters")
"""Columns that do not depend on the batch. Rows of several batch sizes are matched by their texts."""

_LEFT_OUT = frozenset(("output_shape", "output_shapes", "nodes", "calls", "share", "bar", *OpClass))
"""Columns that are left out. Operations of all classes become one column, and the other columns only grow in
proportion to the batch.
"""


def batches_table(
    tables: Mapping[int, Table],
    how: str,
    sort: str | None = None,
    top: int | None = None,
    rows_are: str = "layers",
    of_the_first: Sequence[str] = (),
) -> Table:
    """The joined table of `tables`, which are given by batch size. how: a sentence on how the traces were
    made. sort: a column, the largest first. top: the number of rows, with the others summed into one row.
    rows_are: the word for rows in that row. of_the_first: columns that are shown for the first batch size
    only. Raises ArgumentError for an unknown column.
    """
    first = next(iter(tables.values()))
    shared = tuple(column for column in first.columns if column.name in (*_SHARED, *of_the_first))
    merged = Table(
        columns=(*shared, *_columns(tables)),
        rows=_rows(tables, shared),
        title=f"{first.title}; batch sizes {', '.join(map(str, tables))}",
        notes=(how, *_notes(tables)),
        total=_cells({size: table.total for size, table in tables.items()}, shared) if first.total else {},
    )
    rows = merged.sorted_by(sort) if sort else list(merged.rows)
    if top is not None and len(rows) > top:
        rows = [*rows[:top], _rest(rows[top:], merged.columns, rows_are)]
    return replace(merged, rows=rows)


def _columns(tables: Mapping[int, Table]) -> Iterator[Column]:
    first = next(iter(tables.values()))
    operations = Column("operations", "operations", Kind.COUNT)
    for column in (operations, *first.columns):
        if column.name in _SHARED or column.name in _LEFT_OUT:
            continue
        for size in tables:
            yield replace(column, name=f"{column.name}@{size}", title=f"{column.title}\nbatch {size}")


def _rows(tables: Mapping[int, Table], shared: Sequence[Column]) -> list[dict[str, Any]]:
    """One row for each row of any table, since a model may run other modules at another batch size."""
    found: dict[Any, dict[int, Mapping[str, Any]]] = {}
    for size, table in tables.items():
        for row in table.rows:
            key = tuple(
                row.get(column.name) for column in shared if column.name in _SHARED and column.is_text
            )
            found.setdefault(key, {})[size] = row
    return [_cells(rows, shared) for rows in found.values()]


def _cells(rows: Mapping[int, Mapping[str, Any]], shared: Sequence[Column]) -> dict[str, Any]:
    first = next(iter(rows.values()))
    cells = {column.name: first.get(column.name) for column in shared}
    for size, row in rows.items():
        cells[f"operations@{size}"] = sum(row.get(op_class.value) or 0 for op_class in OpClass)
        cells |= {f"{name}@{size}": value for name, value in row.items() if name not in _SHARED}
    return cells


def _rest(rows: Sequence[Mapping[str, Any]], columns: Sequence[Column], rows_are: str) -> dict[str, Any]:
    cells: dict[str, Any] = {"path": f"{len(rows)} more {rows_are}"}
    for column in columns:
        values = [row[column.name] for row in rows if row.get(column.name) is not None]
        if values and not column.is_text:
            # Layers use memory one after the other.
            cells[column.name] = max(values) if column.name.startswith("peak_bytes") else sum(values)
    return cells


def _notes(tables: Mapping[int, Table]) -> Iterator[str]:
    """First the notes that all tables have, then the other notes of each table."""
    # The column of shares is left out, and so is the note about it.
    notes = {
        size: [note.partition("; share of ")[0] for note in table.notes] for size, table in tables.items()
    }
    everywhere = set.intersection(*map(set, notes.values()))
    yield from (note for note in next(iter(notes.values())) if note in everywhere)
    for size, own in notes.items():
        yield from (f"batch {size}: {note}" for note in own if note not in everywhere)
