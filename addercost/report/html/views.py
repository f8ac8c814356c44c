"""Tables as cells for the template: the text a reader sees, the value a script sorts by, and the style."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from addercost.report.table import Column, Kind, Table, heading, shown
from addercost.text import printable


@dataclass(frozen=True, slots=True)
class TableCell:
    """tag: th or td. value: what the script sorts and sums by; in the first cell, the row's path."""

    tag: str
    text: str
    style: str
    value: str | float | None = None


@dataclass(frozen=True, slots=True)
class TableHeading:
    text: str
    style: str
    kind: str


@dataclass(frozen=True, slots=True)
class TableView:
    """A table ready for the template, which escapes every text."""

    title: str
    columns: tuple[TableHeading, ...]
    rows: tuple[tuple[TableCell, ...], ...]
    total: tuple[TableCell, ...]
    notes: tuple[str, ...]


def view_of(table: Table) -> TableView:
    return TableView(
        title=printable(table.title),
        columns=tuple(TableHeading(heading(c), _style(c), c.kind.value) for c in table.columns),
        rows=tuple(_cells(table, row) for row in table.rows),
        total=_cells(table, table.total) if table.total else (),
        notes=tuple(printable(note) for note in table.notes),
    )


def _cells(table: Table, row: Mapping[str, Any]) -> tuple[TableCell, ...]:
    return tuple(_cell(row.get(c.name), c, first=i == 0) for i, c in enumerate(table.columns))


def _cell(value: Any, column: Column, first: bool) -> TableCell:
    text = shown(value, column)
    kept: str | float | None = None
    if first:
        kept = text
    elif not column.is_text and value is not None:
        kept = value + 0
    return TableCell("th" if first else "td", text, _style(column), kept)


def _style(column: Column) -> str:
    if column.kind is Kind.PATH:
        return "path"
    return "" if column.is_text else "n"
