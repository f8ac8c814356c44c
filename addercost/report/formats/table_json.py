"""A table as a JSON list of its rows."""

from __future__ import annotations

import json

from addercost.report.table import Table, plain_cells
from addercost.text import harmless_json


def to_json(table: Table) -> str:
    """One object for each row, with plain numbers and without totals."""
    return harmless_json(json.dumps([plain_cells(table, row) for row in table.rows], indent=1)) + "\n"
