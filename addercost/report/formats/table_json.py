"""A table as a JSON list of its rows."""

from __future__ import annotations

import json

from addercost.report.table import Table, plain_cells


def to_json(table: Table) -> str:
    """One object a row, with plain numbers; no totals."""
    return json.dumps([plain_cells(table, row) for row in table.rows], indent=1) + "\n"
