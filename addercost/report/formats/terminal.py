"""A table for a terminal. It is fitted to the width by shorter numbers, then by fewer columns, then by
shorter paths.

A table with groups of columns that is still too wide is drawn in parts, one below the other. Texts wrap.
Numbers are never cut; a table that cannot be made narrower is printed wider than the terminal.
"""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from addercost.report.table import Column, Kind, Table, heading, shown
from addercost.results.stdout import is_terminal, terminal_columns
from addercost.text import printable, shortened

if TYPE_CHECKING:
    from rich.console import JustifyMethod
    from rich.table import Table as RichTable

_UNLIMITED = 100_000
_GAP = 2
_SHORTEST_PATH = 14
_LONGEST_WORD = 24

Cells = list[list[str]]


def terminal_width() -> int | None:
    """The columns into which a table must fit: $COLUMNS if set, else the terminal's; None where output is no
    terminal.
    """
    if os.environ.get("COLUMNS", "").isdigit() or is_terminal():
        return max(terminal_columns(), 40)
    return None


def to_terminal(table: Table, width: int | None = None, styled: bool = False) -> str:
    """The table with its title above and its notes below, at most `width` columns wide if possible.

    styled: with the escape sequences for bold text.
    """
    from rich.console import Console
    from rich.text import Text

    limit = width or _UNLIMITED
    parts = [(part, *_fitted(part, limit)) for part in _parts(table, limit)]
    buffer = io.StringIO()
    needed = max(_drawn_width(columns, cells, limit) for _, columns, cells in parts)
    console = Console(file=buffer, width=max(limit, needed), force_terminal=styled, highlight=False)
    # Sentences wrap at the terminal's edge even where the table is wider.
    if table.answer:
        console.print(Text(printable(table.answer), style="bold"), width=limit)
    if table.title:
        console.print(Text(printable(table.title), style="" if table.answer else "bold"), width=limit)
    for i, (part, columns, cells) in enumerate(parts):
        if i:
            console.print()
        console.print(_drawn(part, columns, cells, limit))
    shown_columns = {column for _, columns, _ in parts for column in columns}
    hidden = [heading(column) for column in table.columns if column not in shown_columns and column.title]
    remarks = [f"hidden to fit {limit} columns: {', '.join(hidden)}"] if hidden else []
    for note in (*remarks, *table.notes):
        text = Text(printable(note))
        if table.brief:
            text.truncate(limit, overflow="ellipsis")
        console.print(text, width=limit)
    return "\n".join(line.rstrip() for line in buffer.getvalue().splitlines()) + "\n"


def _drawn(table: Table, columns: list[Column], cells: Cells, limit: int) -> RichTable:
    import rich.box
    from rich.table import Table as RichTable
    from rich.text import Text

    # Two spaces separate columns: one is the box's, the other is padding.
    drawn = RichTable(box=rich.box.SIMPLE_HEAD, padding=(0, _GAP - 1, 0, 0), pad_edge=False, show_edge=False)
    widths = _widths(columns, cells, limit)
    for column, column_width in zip(columns, widths, strict=True):
        justify: JustifyMethod = "left" if column.is_text else "right"
        drawn.add_column(Text(column.title), justify=justify, width=column_width, overflow="fold")
    body = cells[: len(table.rows)]
    for row in body:
        drawn.add_row(*(Text(cell) for cell in row))
    for row in cells[len(body) :]:
        drawn.add_section()
        drawn.add_row(*(Text(cell, style="bold") for cell in row))
    return drawn


def _drawn_width(columns: list[Column], cells: Cells, limit: int) -> int:
    widths = _widths(columns, cells, limit)
    return sum(widths) + _GAP * len(widths)


def _parts(table: Table, limit: int) -> list[Table]:
    """The table, or if it is too wide its parts. Each part has the leading columns and as many groups as
    fit.
    """
    if not any(column.group for column in table.columns) or _needed(*_fitted(table, limit)) <= limit:
        return [table]
    columns = [column for column in table.columns if not column.secondary]
    keys = [column for column in columns if (column.is_text or column.leads) and not column.group]
    groups: dict[str, list[Column]] = {}
    for column in columns:
        if column not in keys:
            groups.setdefault(column.group, []).append(column)
    parts = [list(keys)]
    for group in groups.values():
        together = [*parts[-1], *group]
        if len(parts[-1]) > len(keys) and _needed(together, _cells(table, together, short=True)) > limit:
            parts.append([*keys, *group])
        else:
            parts[-1] = together
    return [replace(table, columns=tuple(part)) for part in parts]


def _fitted(table: Table, limit: int) -> tuple[list[Column], Cells]:
    """(the columns that fit, the texts of all rows with the total last)."""
    columns = list(table.columns)
    cells = _cells(table, columns, short=False)
    if _needed(columns, cells) <= limit:
        return columns, cells
    for column in [column for column in reversed(columns) if column.secondary]:
        columns.remove(column)
        cells = _cells(table, columns, short=False)
        if _needed(columns, cells) <= limit:
            return columns, cells
    cells = _cells(table, columns, short=True)
    for column in [column for column in reversed(columns) if column.optional]:
        if _needed(columns, cells) <= limit:
            return columns, cells
        columns.remove(column)
        cells = _cells(table, columns, short=True)
    for i, column in enumerate(columns):
        excess = _needed(columns, cells) - limit
        if column.kind is Kind.PATH and excess > 0:
            room = max(max(len(row[i]) for row in cells) - excess, _SHORTEST_PATH)
            for row in cells:
                row[i] = shortened(row[i], room)
    return columns, cells


def _cells(table: Table, columns: Sequence[Column], short: bool) -> Cells:
    rows = [*table.rows, *([table.total] if table.total else [])]
    return [[shown(row.get(column.name), column, short) for column in columns] for row in rows]


def _needed(columns: Sequence[Column], cells: Cells) -> int:
    """The width at which no text of the table wraps."""
    return sum(_natural_width(column, i, cells) for i, column in enumerate(columns)) + _GAP * (
        len(columns) - 1
    )


def _natural_width(column: Column, i: int, cells: Cells) -> int:
    return max(len(text) for text in (*column.title.split("\n"), *(row[i] for row in cells)))


def _widths(columns: Sequence[Column], cells: Cells, limit: int) -> list[int]:
    """The width of each column. Above the limit the widest text columns are narrowed, down to their longest
    word.
    """
    widths = [_natural_width(column, i, cells) for i, column in enumerate(columns)]
    least = [
        _longest_word(column, i, cells) if column.kind is Kind.TEXT else widths[i]
        for i, column in enumerate(columns)
    ]
    for _ in range(sum(widths) + _GAP * (len(widths) - 1) - limit):
        shrinkable = [i for i, width in enumerate(widths) if width > least[i]]
        if not shrinkable:
            break
        widths[max(shrinkable, key=lambda i: widths[i])] -= 1
    return widths


def _longest_word(column: Column, i: int, cells: Cells) -> int:
    texts = (*column.title.split("\n"), *(row[i] for row in cells))
    longest = max((len(word) for text in texts for word in text.split()), default=1)
    return min(longest, _LONGEST_WORD)
