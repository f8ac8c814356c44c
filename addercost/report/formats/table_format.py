"""A table in a chosen format: terminal, CSV, JSON, Markdown or LaTeX."""

from __future__ import annotations

from enum import StrEnum

from addercost.report.table import Table


class TableFormat(StrEnum):
    TABLE = "table"
    CSV = "csv"
    JSON = "json"
    MARKDOWN = "markdown"
    LATEX = "latex"


def render(
    table: Table, output: TableFormat, width: int | None = None, styled: bool = False, page: str = "double"
) -> str:
    """The table as text that ends with a newline.

    width: the columns of the terminal; None without a terminal, and then nothing is shortened. styled: with
    bold text, for a terminal that shows it. page: for LaTeX, `single` for a table as wide as a column,
    `double` for one as wide as the page.
    """
    match output:
        case TableFormat.CSV:
            from addercost.report.formats.table_csv import to_csv

            return to_csv(table)
        case TableFormat.JSON:
            from addercost.report.formats.table_json import to_json

            return to_json(table)
        case TableFormat.MARKDOWN:
            from addercost.report.formats.table_markdown import to_markdown

            return to_markdown(table)
        case TableFormat.LATEX:
            from addercost.report.formats.table_latex import to_latex_table

            return to_latex_table(table, page)
        case TableFormat.TABLE:
            from addercost.report.formats.terminal import to_terminal

            return to_terminal(table, width, styled)
