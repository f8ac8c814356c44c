"""A table as HTML for notebooks. Every text is escaped, since it may come from a model."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from addercost.report.table import Column, Table, heading, shown


def to_html(table: Table) -> str:
    """A bare <table> with title and notes, numbers right-aligned; no script, no style sheet."""
    head = _row("th", ((heading(column), column) for column in table.columns))
    rows = [*table.rows, *([table.total] if table.total else [])]
    body = "".join(
        _row("td", ((shown(row.get(column.name), column), column) for column in table.columns))
        for row in rows
    )
    notes = "".join(f"<p>{escape(note)}</p>" for note in table.notes)
    title = f"<p><b>{escape(table.title)}</b></p>" if table.title else ""
    return f"{title}<table><thead>{head}</thead><tbody>{body}</tbody></table>{notes}"


def _row(tag: str, cells: Iterable[tuple[str, Column]]) -> str:
    aligned = (
        f'<{tag} style="text-align:{"left" if column.is_text else "right"}">{escape(text)}</{tag}>'
        for text, column in cells
    )
    return f"<tr>{''.join(aligned)}</tr>"
