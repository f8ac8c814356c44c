"""Tables as cells for the template. A cell has the visible text, the value by which the script sorts, and the
style.

Every number of a page has three digits and a prefix. Hovering over it shows all digits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from addercost.analysis.bounds import bound_sign
from addercost.report.subject_answer import ratio_text
from addercost.report.table import Column, Kind, Table, heading, shown
from addercost.text import printable
from addercost.units import si


@dataclass(frozen=True, slots=True)
class TableCell:
    """A cell. tag: th or td. value: the value that the script sorts by and sums; in the first cell, the row's
    path.

    exact: all digits of a number that is shortened. percent: the length of the bar behind a share. href: the
    link of the text to a place on the page, such as #p1-l3.
    """

    tag: str
    text: str
    style: str
    value: str | float | None = None
    exact: str = ""
    percent: float | None = None
    href: str = ""


@dataclass(frozen=True, slots=True)
class TableHeading:
    """The heading of a column. merge: how the script combines the rows of a module: sum, max, or "" for not
    at all. unit: the unit of the sums.
    """

    text: str
    style: str
    kind: str
    merge: str = ""
    unit: str = ""


@dataclass(frozen=True, slots=True)
class TableView:
    """A table for the template, which escapes every text. row_ids: an anchor for each row, or empty."""

    title: str
    columns: tuple[TableHeading, ...]
    rows: tuple[tuple[TableCell, ...], ...]
    total: tuple[TableCell, ...]
    notes: tuple[str, ...]
    row_ids: tuple[str, ...] = ()


def view_of(
    table: Table, row_ids: Sequence[str] = (), links: Mapping[tuple[int, str], str] | None = None
) -> TableView:
    """The view of a table. row_ids: an anchor for each row. links: the links of cells, by the number of the
    row and the name of the column.
    """
    largest = {
        c.name: max((row.get(c.name) or 0 for row in table.rows), default=0)
        for c in table.columns
        if c.kind is Kind.SHARE
    }
    return TableView(
        title=printable(table.title),
        columns=tuple(
            TableHeading(heading(c), _style(c), c.kind.value, _merge(c), c.unit) for c in table.columns
        ),
        rows=tuple(_cells(table, row, i, links or {}, largest) for i, row in enumerate(table.rows)),
        total=_cells(table, table.total, -1, {}, {}) if table.total else (),
        notes=tuple(printable(note) for note in table.notes),
        row_ids=tuple(row_ids),
    )


def _cells(
    table: Table,
    row: Mapping[str, Any],
    number: int,
    links: Mapping[tuple[int, str], str],
    largest: Mapping[str, float],
) -> tuple[TableCell, ...]:
    """The cells of a row. links: as in `view_of`. largest: the largest value of each column that has bars."""
    hint = str(row.get("nodes") or "")
    return tuple(
        _cell(
            row.get(c.name),
            c,
            hint if i == 0 else None,
            links.get((number, c.name), ""),
            largest.get(c.name, 0.0),
        )
        for i, c in enumerate(table.columns)
    )


def _cell(value: Any, column: Column, hint: str | None, href: str, largest: float) -> TableCell:
    """A cell. hint: the text that hovering over the first cell of a row shows; None for other cells."""
    text = _text(value, column)
    kept: str | float | None = None
    exact = ""
    first = hint is not None
    if hint is not None:
        kept, exact = text, f"ONNX: {printable(hint)}" if hint else ""
    elif not column.is_text and value is not None:
        kept = value + 0
        written = _exact(value, column)
        exact = written if written != text else ""
    percent = 100 * value / largest if largest and isinstance(value, float | int) else None
    return TableCell("th" if first else "td", text, _style(column), kept, exact, percent, href)


def _text(value: Any, column: Column) -> str:
    """The text of a cell. A number has three digits and a prefix, fewer digits than in other outputs."""
    if isinstance(value, float | int) and column.kind in (Kind.NUMBER, Kind.RATIO):
        mark = bound_sign(value)
        if column.kind is Kind.RATIO:
            return f"{mark}{ratio_text(value)}×"
        return f"{mark}{si(value) if abs(value) >= 1000 else f'{float(value):.3g}'}"
    return shown(value, column, short=True)


def _exact(value: float, column: Column) -> str:
    whole = float(value).is_integer() and abs(value) < 1e15
    text = f"{int(value):,}" if whole else repr(float(value))
    return f"{text} {column.unit}".rstrip()


def _merge(column: Column) -> str:
    """How the script combines the values of a column: peaks of memory do not add up, and ratios and times
    with an interval have no sum.
    """
    if column.name == "peak_bytes":
        return "max"
    summed = column.kind in (Kind.COUNT, Kind.SHARE, Kind.AMOUNT) or (
        column.kind is Kind.QUANTITY and column.name.startswith(("energy_j@", "seconds@"))
    )
    return "sum" if summed else ""


def _style(column: Column) -> str:
    if column.kind is Kind.PATH:
        return "path"
    return "" if column.is_text else "n"
