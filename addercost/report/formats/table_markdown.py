"""A table as Markdown."""

from __future__ import annotations

from collections.abc import Iterable

from addercost.report.table import Table, heading, shown
from addercost.text import markdown_cell


def to_markdown(table: Table) -> str:
    """A table that GitHub renders, with right-aligned numbers and the total in bold."""
    lines = [
        line for text in (table.answer, table.title) if text for line in (f"**{markdown_cell(text)}**", "")
    ]
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


def _markdown_row(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |"
