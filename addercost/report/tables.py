"""One table, four formats: terminal, CSV, JSON, Markdown. Every command that lists anything uses it."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from addercost.errors import unknown_name
from addercost.text import markdown_cell, printable, spreadsheet_cell
from addercost.units import si, thousands


class TableFormat(StrEnum):
    TABLE = "table"
    CSV = "csv"
    JSON = "json"
    MARKDOWN = "markdown"


class Kind(StrEnum):
    """What a column holds, which decides how it is printed. Files always get the plain value."""

    TEXT = "text"
    PATH = "path"
    """A text whose middle gives way where space is short; other texts wrap."""
    COUNT = "count"
    """A whole number of something, printed with thousands separators or an SI prefix."""
    NUMBER = "number"
    """Printed with four significant digits."""
    RATIO = "ratio"
    """1.5 is printed as 1.500×."""
    SHARE = "share"
    """0.25 is printed as 25.0 %."""
    PERCENT = "percent"
    """A number of percent, or of points of it, printed with two decimals; the heading says so."""
    QUANTITY = "quantity"
    """A physical quantity in the column's unit, printed with an SI prefix."""


class AtLeast(float):
    """A number that is a lower bound: printed with ≥, plain in files."""


class AtMost(float):
    """A number that is an upper bound: printed with ≤, plain in files."""


@dataclass(frozen=True, slots=True)
class Column:
    """name: the key in rows and files. optional: dropped first where space is short.

    title: the heading; a terminal breaks it at its line breaks.
    """

    name: str
    title: str
    kind: Kind = Kind.TEXT
    unit: str = ""
    optional: bool = False

    @property
    def is_text(self) -> bool:
        return self.kind in (Kind.TEXT, Kind.PATH)


@dataclass(frozen=True, slots=True)
class Table:
    """rows: values by column name. total: a last row that files leave out. title, notes: above and below."""

    columns: tuple[Column, ...]
    rows: Sequence[Mapping[str, Any]]
    title: str = ""
    notes: tuple[str, ...] = ()
    total: Mapping[str, Any] = field(default_factory=dict)

    def column(self, name: str) -> Column:
        """Raises ArgumentError with the nearest names."""
        for column in self.columns:
            if column.name == name:
                return column
        raise unknown_name("column", name, [column.name for column in self.columns])

    def sorted_by(self, name: str) -> list[Mapping[str, Any]]:
        """Rows by one column: numbers largest first, texts in order, empty cells last."""
        column = self.column(name)
        present = [row for row in self.rows if row.get(column.name) is not None]
        absent = [row for row in self.rows if row.get(column.name) is None]
        return sorted(present, key=lambda row: row[column.name], reverse=not column.is_text) + absent


def render(table: Table, output: TableFormat, width: int | None = None, styled: bool = False) -> str:
    """The table as text that ends with a newline.

    width: columns of the terminal; None where there is none, and then nothing is shortened. styled: bold text
    for a terminal that shows it.
    """
    match output:
        case TableFormat.CSV:
            return to_csv(table)
        case TableFormat.JSON:
            return json.dumps([_plain(table, row) for row in table.rows], indent=1) + "\n"
        case TableFormat.MARKDOWN:
            return to_markdown(table)
        case TableFormat.TABLE:
            from addercost.report.terminal import to_terminal

            return to_terminal(table, width, styled)


def to_csv(table: Table) -> str:
    """One line of column names, one line a row; plain numbers, no totals."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow([column.name for column in table.columns])
    for row in table.rows:
        plain = _plain(table, row)
        writer.writerow([spreadsheet_cell(plain[column.name]) for column in table.columns])
    return buffer.getvalue()


def to_markdown(table: Table) -> str:
    """A table that GitHub renders, numbers right-aligned, the total in bold."""
    lines = [f"**{markdown_cell(table.title)}**", ""] if table.title else []
    lines.append(_markdown_row(markdown_cell(heading(column)) for column in table.columns))
    lines.append(_markdown_row("---" if column.is_text else "---:" for column in table.columns))
    for row in table.rows:
        lines.append(_markdown_row(markdown_cell(shown(row.get(c.name), c)) for c in table.columns))
    if table.total:
        cells = (markdown_cell(shown(table.total.get(c.name), c)) for c in table.columns)
        lines.append(_markdown_row(f"**{cell}**" if cell else "" for cell in cells))
    for note in table.notes:
        lines += ["", markdown_cell(note)]
    return "\n".join(lines) + "\n"


def heading(column: Column) -> str:
    """The title on one line, without the hyphen of a word that was broken."""
    return column.title.replace("-\n", "").replace("\n", " ")


def _markdown_row(cells: Any) -> str:
    return "| " + " | ".join(cells) + " |"


def shown(value: Any, column: Column, short: bool = False) -> str:
    """A cell as a reader sees it; `short` prefers SI prefixes over digits. Missing values are empty."""
    if value is None:
        return ""
    if isinstance(value, AtLeast | AtMost):
        mark = "≥" if isinstance(value, AtLeast) else "≤"
        return f"{mark} {shown(float(value), column, short)}"
    match column.kind:
        case Kind.TEXT | Kind.PATH:
            return printable("x".join(map(str, value)) if isinstance(value, tuple | list) else str(value))
        case Kind.COUNT:
            return si(value) if short else thousands(value)
        case Kind.NUMBER:
            return f"{value:.4g}"
        case Kind.RATIO:
            return f"{value:.3f}×"
        case Kind.SHARE:
            return f"{100 * value:.1f} %"
        case Kind.PERCENT:
            return f"{value:.2f}"
        case Kind.QUANTITY:
            return si(value, column.unit, 3 if short else 4)


def _plain(table: Table, row: Mapping[str, Any]) -> dict[str, Any]:
    values = {}
    for column in table.columns:
        value = row.get(column.name)
        if column.is_text and isinstance(value, tuple | list):
            value = "x".join(map(str, value))
        values[column.name] = value
    return values
