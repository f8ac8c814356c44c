"""A table as CSV."""

from __future__ import annotations

import csv
import io

from addercost.report.table import Table, plain_cells
from addercost.text import spreadsheet_cell


def to_csv(table: Table) -> str:
    """A line of column names, then one line for each row, with plain numbers and without totals."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow([column.name for column in table.columns])
    for row in table.rows:
        plain = plain_cells(table, row)
        writer.writerow([spreadsheet_cell(plain[column.name]) for column in table.columns])
    return buffer.getvalue()
