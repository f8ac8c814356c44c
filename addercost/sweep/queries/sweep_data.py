"""SQL over a folder of shards, with DuckDB."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from addercost.errors import ArgumentError, DataError
from addercost.report.table import Column, Kind, Table
from addercost.sweep.queries.parquet_bytes import arrow_to_parquet
from addercost.sweep.shards.manifest import Manifest, read_manifest
from addercost.sweep.shards.measured_settings import measured_layouts
from addercost.sweep.shards.shard_files import shard_files

_KINDS = {"cycles": (Kind.COUNT, ""), "seconds": (Kind.QUANTITY, "s"), "energy_j": (Kind.QUANTITY, "J")}
_KINDS |= dict.fromkeys(("median_s", "low_s", "high_s", "measured_s"), (Kind.QUANTITY, "s"))


@dataclass(frozen=True)
class SweepData:
    """An open folder: a DuckDB connection with the view `sweep` and, where something was timed, `measured`.

    remarks: what is wrong with the folder, one line each. devices: on which something was timed.
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
        """Columns of `sweep` that hold numbers, which can be ranked."""
        described = self.connection.execute("DESCRIBE sweep").fetchall()
        return [name for name, kind, *_ in described if kind in ("BIGINT", "DOUBLE")]

    def to_parquet(self, sql: str) -> bytes:
        """The result as one Parquet file."""
        import duckdb

        try:
            found = self.connection.sql(sql)
            table = found.to_arrow_table() if found is not None else None
        except duckdb.Error as error:
            raise _query_error(error) from None
        if table is None:
            raise _no_result()
        return arrow_to_parquet(table)

    def _answer(self, sql: str, parameters: Sequence[Any]) -> Any:
        import duckdb

        try:
            found = self.connection.execute(sql, parameters or None)
        except duckdb.Error as error:
            raise _query_error(error) from None
        if found.description is None:
            raise _no_result()
        return found


def open_sweep(folder: Path) -> SweepData:
    """Opens the finished shards of a folder. Raises DataError where there are none."""
    try:
        import duckdb
    except ImportError:
        raise ArgumentError("queries need DuckDB", "pip install 'addercost[sweep]'") from None
    manifest = read_manifest(folder)
    shards = list(shard_files(folder, manifest.layout, thorough=False))
    files = [str(shard.path) for shard in shards if not shard.problem]
    remarks = [f"{shard.path.name} {shard.problem}: left out" for shard in shards if shard.problem]
    if not files:
        raise DataError(f"{folder} holds no finished shard", "run the sweep first")
    if len(files) < manifest.layout.chunks:
        remarks.append(
            f"{len(files):,} of {manifest.layout.chunks:,} chunks are done: the rest is missing from what is "
            f"said here"
        )
    failed = sum(shard.failed for shard in shards if not shard.problem)
    if failed:
        remarks.append(f"{failed:,} of {manifest.architectures:,} architectures failed: see the column error")
    connection = duckdb.connect(
        config={"autoinstall_known_extensions": "false", "autoload_known_extensions": "false"}
    )
    # union_by_name: a shard has a column for a fact only where one of its architectures has that fact.
    connection.read_parquet(files, union_by_name=True).create_view("sweep")
    timed, devices = [], []
    for layout, settings in measured_layouts(folder, manifest):
        shards = list(shard_files(folder, layout, thorough=False))
        timed += [str(shard.path) for shard in shards if not shard.problem]
        devices += [settings.device] * any(not shard.problem for shard in shards)
        remarks += [f"{shard.path.name} {shard.problem}: left out" for shard in shards if shard.problem]
    if timed:
        connection.read_parquet(timed).create_view("measured")
    return SweepData(connection, manifest, tuple(remarks), tuple(devices))


def _query_error(error: Exception) -> ArgumentError:
    text = " ".join(str(error).split())
    return ArgumentError(
        f"the query fails: {text}", "the tables are sweep and, where measured, measured; try DESCRIBE sweep"
    )


def _no_result() -> ArgumentError:
    return ArgumentError("the query returns nothing", "write a SELECT … FROM sweep")


def _column(name: str, kind: str) -> Column:
    """kind: the DuckDB type of the column."""
    numeric = any(word in kind.upper() for word in ("INT", "DOUBLE", "FLOAT", "DECIMAL", "NUMBER"))
    if not numeric:
        return Column(name, name)
    shown, unit = _KINDS.get(name, (Kind.COUNT if "INT" in kind.upper() else Kind.NUMBER, ""))
    return Column(name, name, shown, unit)
