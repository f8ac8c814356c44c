"""Tables: columns, rows, and the text of a cell. Every command that lists something makes one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from addercost.analysis.bounds import bound_sign
from addercost.errors import ArgumentError, unknown_name
from addercost.text import printable
from addercost.units import si, thousands


class Kind(StrEnum):
    """The kind of a column's values. It decides how they are printed; files always get the plain value."""

    TEXT = "text"
    PATH = "path"
    """A text whose middle is left out where space is short; other texts wrap."""
    COUNT = "count"
    """A whole number of something, printed with thousands separators or an SI prefix."""
    NUMBER = "number"
    """Printed with four significant digits."""
    RATIO = "ratio"
    """1.5 is printed as 1.500×."""
    SHARE = "share"
    """0.25 is printed as 25.0 %."""
    PERCENT = "percent"
    """A number of percent or of percentage points, printed with two decimals; the heading has the unit."""
    AMOUNT = "amount"
    """A number in the unit that its row names. A whole number is printed as a count, any other with four
    digits.
    """
    QUANTITY = "quantity"
    """A physical quantity in the column's unit, printed with an SI prefix."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column. name: its key in rows and files. title: its heading, with line breaks for a terminal.

    optional: the column is left out where space is short. secondary: it is left out first, before numbers are
    shortened. group: columns of one group stay side by side where a terminal draws a wide table in parts.
    leads: the column is repeated before the groups in every part, as texts without a group are.
    """

    name: str
    title: str
    kind: Kind = Kind.TEXT
    unit: str = ""
    optional: bool = False
    secondary: bool = False
    group: str = ""
    leads: bool = False

    @property
    def is_text(self) -> bool:
        return self.kind in (Kind.TEXT, Kind.PATH)


@dataclass(frozen=True, slots=True)
class Table:
    """A table. rows: values by column name. total: a last row, which files leave out.

    answer: the result of the table in a sentence, which is printed above everything. title: the line above
    the table. notes: paragraphs below the table. brief: a terminal cuts each note to one line.
    """

    columns: tuple[Column, ...]
    rows: Sequence[Mapping[str, Any]]
    title: str = ""
    notes: tuple[str, ...] = ()
    total: Mapping[str, Any] = field(default_factory=dict)
    answer: str = ""
    brief: bool = False

    def column(self, name: str) -> Column:
        """The column of that name. The part before an @ is enough where a single column begins with it: with
        one processor, `cycles` means `cycles@amd-zen4`. Raises ArgumentError with the nearest names.
        """
        found = [column for column in self.columns if column.name == name]
        found = found or [column for column in self.columns if column.name.startswith(f"{name}@")]
        if len(found) == 1:
            return found[0]
        if found:
            raise ArgumentError(
                f"several columns are {name!r}", f"name one: {', '.join(column.name for column in found)}"
            )
        raise unknown_name("column", name, [column.name for column in self.columns])

    def sorted_by(self, name: str) -> list[Mapping[str, Any]]:
        """The rows sorted by one column: the largest numbers first, texts in alphabetical order, empty cells
        last.
        """
        column = self.column(name)
        present = [row for row in self.rows if row.get(column.name) is not None]
        absent = [row for row in self.rows if row.get(column.name) is None]
        return sorted(present, key=lambda row: row[column.name], reverse=not column.is_text) + absent


def heading(column: Column) -> str:
    """The title on one line. A word that was broken with a hyphen is joined again."""
    return column.title.replace("-\n", "").replace("\n", " ")


def shown(value: Any, column: Column, short: bool = False) -> str:
    """The text of a cell; "" for None. short: with SI prefixes in place of all digits."""
    if value is None:
        return ""
    if sign := bound_sign(value):
        return f"{sign}{shown(float(value), column, short)}"
    match column.kind:
        case Kind.TEXT | Kind.PATH:
            return printable("x".join(map(str, value)) if isinstance(value, tuple | list) else str(value))
        case Kind.COUNT:
            return si(value) if short else thousands(value)
        case Kind.NUMBER:
            return f"{value:.4g}"
        case Kind.AMOUNT:
            if float(value).is_integer():
                return si(value) if short else thousands(value)
            if abs(value) >= 1000:
                return f"{value:,.0f}"
            return f"{value:.3g}" if short else f"{value:.4g}"
        case Kind.RATIO:
            return f"{value:.3f}×"
        case Kind.SHARE:
            return f"{100 * value:.1f} %"
        case Kind.PERCENT:
            return f"{value:.2f}"
        case Kind.QUANTITY:
            return si(value, column.unit, 3 if short else 4)


def plain_cells(table: Table, row: Mapping[str, Any]) -> dict[str, Any]:
    """The values of a row for files, by column name: plain numbers, and shapes as text."""
    values = {}
    for column in table.columns:
        value = row.get(column.name)
        if column.is_text and isinstance(value, tuple | list):
            value = "x".join(map(str, value))
        values[column.name] = value
    return values
