"""The numbers of a figure as a table with bars, for a terminal without a display."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from addercost.report.plots.style import Drawn
from addercost.report.table import Column, Table

_BLOCKS = " ▏▎▍▌▋▊▉█"
_BAR_WIDTH = 24


def with_bars(drawn: Drawn) -> Table:
    """The figure's table with an additional column: a bar whose length is the value in column `drawn.bar`."""
    table = drawn.table
    values = [row.get(drawn.bar) for row in table.rows]
    largest = max((v for v in values if isinstance(v, int | float)), default=0)
    rows: list[dict[str, Any]] = [
        {**row, "_bar": _bar(value / largest) if isinstance(value, int | float) and largest > 0 else ""}
        for row, value in zip(table.rows, values, strict=True)
    ]
    columns = [replace(c, optional=c.name != drawn.bar and i > 0) for i, c in enumerate(table.columns)]
    at = next((i for i, c in enumerate(columns) if c.name == drawn.bar), len(columns) - 1) + 1
    columns.insert(at, Column("_bar", ""))
    return replace(table, columns=tuple(columns), rows=rows)


def _bar(share: float) -> str:
    eighths = round(max(share, 0) * _BAR_WIDTH * 8)
    whole, rest = divmod(eighths, 8)
    return "█" * whole + (_BLOCKS[rest] if rest else "")
