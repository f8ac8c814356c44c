"""Tables as Parquet files in memory."""

from __future__ import annotations

import io
from typing import Any

from addercost.report.table import Table


def table_to_parquet(table: Table) -> bytes:
    """The file of a table: plain values under the names of the columns."""
    import pyarrow as pa

    columns = {column.name: [row.get(column.name) for row in table.rows] for column in table.columns}
    return arrow_to_parquet(pa.table(columns))


def arrow_to_parquet(table: Any) -> bytes:
    """table: a `pyarrow.Table`."""
    import pyarrow.parquet as pq

    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd")
    return buffer.getvalue()
