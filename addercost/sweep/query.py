"""SQL over a folder of shards, with DuckDB."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from addercost.errors import ArgumentError, DataError
from addercost.report.table import Column, Kind, Table
from addercost.sweep.measure_run import measured_layouts
from addercost.sweep.store import Manifest, read_manifest, shards

_KINDS = {"cycles": (Kind.COUNT, ""), "seconds": (Kind.QUANTITY, "s"), "energy_j": (Kind.QUANTITY, "J")}
_KINDS |= dict.fromkeys(("median_s", "low_s", "high_s", "measured_s"), (Kind.QUANTITY, "s"))


_NOTHING = ArgumentError("the query returns nothing", "write a SELECT … FROM sweep")


def _failed(error: Exception) -> ArgumentError:
    text = " ".join(str(error).split())
    return ArgumentError(
        f"the query fails: {text}", "the tables are sweep and, where measured, measured; try DESCRIBE sweep"
    )


@dataclass(frozen=True)
class SweepData:
    """An open sweep: the views `sweep` and, where something was timed, `measured` of a DuckDB connection.

    remarks: what is amiss with the folder. devices: that something was timed on.
    """

    connection: Any
    manifest: Manifest
    remarks: tuple[str, ...]
    devices: tuple[str, ...] = ()

    def table(self, sql: str, parameters: Sequence[Any] = (), title: str = "") -> Table:
        """The result of a query. Raises ArgumentError with DuckDB's words where it cannot be answered."""
        found = self._answer(sql, parameters)
        columns = [(entry[0], str(entry[1])) for entry in found.description]
        names = [name for name, _ in columns]
        rows = [dict(zip(names, values, strict=True)) for values in found.fetchall()]
        return Table(tuple(_column(name, kind) for name, kind in columns), rows, title, self.remarks)

    def columns(self, sql: str, parameters: Sequence[Any] = ()) -> dict[str, Any]:
        """The result as arrays by column."""
        found: dict[str, Any] = self._answer(sql, parameters).fetchnumpy()
        return found

    def numeric_columns(self) -> list[str]:
        """Columns that can be compared: everything that is a number."""
        described = self.connection.execute("DESCRIBE sweep").fetchall()
        return [name for name, kind, *_ in described if kind in ("BIGINT", "DOUBLE")]

    def to_parquet(self, sql: str) -> bytes:
        """The result as one Parquet file."""
        import io

        import duckdb
        import pyarrow.parquet as pq

        buffer = io.BytesIO()
        try:
            found = self.connection.sql(sql)
            table = found.to_arrow_table() if found is not None else None
        except duckdb.Error as error:
            raise _failed(error) from None
        if table is None:
            raise _NOTHING
        pq.write_table(table, buffer, compression="zstd")
        return buffer.getvalue()

    def _answer(self, sql: str, parameters: Sequence[Any]) -> Any:
        import duckdb

        try:
            found = self.connection.execute(sql, parameters or None)
        except duckdb.Error as error:
            raise _failed(error) from None
        if found.description is None:
            raise _NOTHING
        return found


def open_sweep(folder: Path) -> SweepData:
    """Opens the finished shards of a folder. Raises DataError where there are none."""
    try:
        import duckdb
    except ImportError:
        raise ArgumentError("queries need DuckDB", "pip install 'addercost[sweep]'") from None
    manifest = read_manifest(folder)
    states = list(shards(folder, manifest.layout, thorough=False))
    files = [str(state.path) for state in states if not state.problem]
    remarks = [f"{state.path.name} {state.problem}: left out" for state in states if state.problem]
    if not files:
        raise DataError(f"{folder} holds no finished shard", "run the sweep first")
    if len(files) < manifest.layout.chunks:
        remarks.append(
            f"{len(files):,} of {manifest.layout.chunks:,} chunks are done: the rest is missing from what is "
            f"said here"
        )
    failed = sum(state.failed for state in states if not state.problem)
    if failed:
        remarks.append(f"{failed:,} of {manifest.architectures:,} architectures failed: see the column error")
    connection = duckdb.connect(
        config={"autoinstall_known_extensions": "false", "autoload_known_extensions": "false"}
    )
    # Facts may be missing from some shards.
    relation = connection.read_parquet(files, union_by_name=True)
    relation.create_view("sweep")
    timed, devices = [], []
    for layout, settings in measured_layouts(folder, manifest):
        made = list(shards(folder, layout, thorough=False))
        timed += [str(state.path) for state in made if not state.problem]
        devices += [settings.device] * any(not state.problem for state in made)
        remarks += [f"{state.path.name} {state.problem}: left out" for state in made if state.problem]
    if timed:
        connection.read_parquet(timed).create_view("measured")
    return SweepData(connection, manifest, tuple(remarks), tuple(devices))


def table_to_parquet(table: Table) -> bytes:
    """A table as one Parquet file, plain values under its column names."""
    import io

    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = {column.name: [row.get(column.name) for row in table.rows] for column in table.columns}
    buffer = io.BytesIO()
    pq.write_table(pa.table(columns), buffer, compression="zstd")
    return buffer.getvalue()


def _column(name: str, kind: str) -> Column:
    numeric = any(word in kind.upper() for word in ("INT", "DOUBLE", "FLOAT", "DECIMAL", "NUMBER"))
    if not numeric:
        return Column(name, name)
    shown, unit = _KINDS.get(name, (Kind.COUNT if "INT" in kind.upper() else Kind.NUMBER, ""))
    return Column(name, name, shown, unit)
