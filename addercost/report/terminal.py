"""A table for a terminal, fitted to its width: first short numbers, then fewer columns, then short paths."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

from addercost.report.tables import Column, Kind, Table, shown
from addercost.report.text import printable, shortened

if TYPE_CHECKING:
    from rich.console import JustifyMethod

_UNLIMITED = 100_000
_GAP = 2
_SHORTEST_PATH = 14


def to_terminal(table: Table, width: int | None = None, styled: bool = False) -> str:
    """The table, its title above and its notes below, at most `width` columns wide.

    styled: with the escape sequences for bold text.
    """
    import rich.box
    from rich.console import Console
    from rich.table import Table as RichTable
    from rich.text import Text

    limit = width or _UNLIMITED
    columns, cells, total = _fitted(table, limit)
    # The box draws one space between columns; the padding is the other.
    drawn = RichTable(box=rich.box.SIMPLE_HEAD, padding=(0, _GAP - 1, 0, 0), pad_edge=False, show_edge=False)
    for column in columns:
        justify: JustifyMethod = "left" if column.is_text else "right"
        if column.kind is Kind.TEXT:
            words = [word for row in cells for word in row[len(drawn.columns)].split()]
            longest = min(max(map(len, words), default=0), _SHORTEST_PATH)
            drawn.add_column(Text(column.title), justify=justify, overflow="fold", min_width=longest)
        else:
            drawn.add_column(Text(column.title), justify=justify, no_wrap=True)
    for row in cells:
        drawn.add_row(*(Text(cell) for cell in row))
    if total:
        drawn.add_section()
        drawn.add_row(*(Text(cell, style="bold") for cell in total))
    buffer = io.StringIO()
    console = Console(file=buffer, width=limit, force_terminal=styled, highlight=False)
    if table.title:
        console.print(Text(printable(table.title), style="bold"))
    console.print(drawn)
    for note in table.notes:
        console.print(Text(printable(note)), soft_wrap=width is None)
    return "\n".join(line.rstrip() for line in buffer.getvalue().splitlines()) + "\n"


def _fitted(table: Table, limit: int) -> tuple[list[Column], list[list[str]], list[str]]:
    columns = list(table.columns)
    for short in (False, True):
        cells, total = _cells(table, columns, short)
        if _needed(columns, cells, total) <= limit:
            return columns, cells, total
    for column in [column for column in reversed(columns) if column.optional]:
        columns.remove(column)
        cells, total = _cells(table, columns, short=True)
        if _needed(columns, cells, total) <= limit:
            return columns, cells, total
    for i, column in enumerate(columns):
        if column.kind is Kind.PATH:
            widest = max((len(row[i]) for row in cells), default=0)
            room = max(widest - (_needed(columns, cells, total) - limit), _SHORTEST_PATH)
            for row in cells:
                row[i] = shortened(row[i], room)
    return columns, cells, total


def _cells(table: Table, columns: Sequence[Column], short: bool) -> tuple[list[list[str]], list[str]]:
    rows = [[shown(row.get(column.name), column, short) for column in columns] for row in table.rows]
    total = [shown(table.total.get(column.name), column, short) for column in columns] if table.total else []
    return rows, total


def _needed(columns: Sequence[Column], cells: Sequence[Sequence[str]], total: Sequence[str]) -> int:
    width = 0
    for i, column in enumerate(columns):
        texts = [*column.title.split("\n"), *(row[i] for row in cells), *(total[i : i + 1])]
        width += max(len(text) for text in texts) + _GAP
    return width - _GAP
