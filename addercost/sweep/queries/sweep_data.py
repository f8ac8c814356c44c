"""SQL over a folder of shards, with DuckDB."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from addercost.errors import ArgumentError, DataError
from addercost.report.table import Column, Kind, Table
from addercost.sweep.queries.parquet_bytes import arrow_to_parquet
from addercost.sweep.shards.manifest import Manifest, read_manifest
from addercost.sweep.shards.measured_settings import measured_layouts
from addercost.sweep.shards.shard_files import shard_files
from addercost.text import error_text

_KINDS = {"cycles": (Kind.COUNT, ""), "seconds": (Kind.QUANTITY, "s"), "energy_j": (Kind.QUANTITY, "J")}
_KINDS |= dict.fromkeys(("median_s", "low_s", "high_s", "measured_s"), (Kind.QUANTITY, "s"))


@dataclass(frozen=True)
class QueryLimits:
    """Limits on a query. A locked query reads the two views and nothing else, since SQL may come from
    somebody else.

    locked: no files, no extensions, no other databases, no changes of settings, and only SELECT. timeout_s: a
    query that takes longer is stopped. memory_bytes: the memory limit of a query. Data that do not fit are
    not written to disk.
    """

    locked: bool = True
    timeout_s: float = math.inf
    memory_bytes: int = 0


@dataclass(frozen=True)
class SweepData:
    """An open folder: a DuckDB connection with the view `sweep` and, where something was timed, `measured`.

    remarks: one line for each fault of the folder. devices: the devices with timings.
    """

    connection: Any
    manifest: Manifest
    remarks: tuple[str, ...]
    devices: tuple[str, ...] = ()
    limits: QueryLimits = QueryLimits()

    def table(self, sql: str, parameters: Sequence[Any] = (), title: str = "") -> Table:
        """The result of a query. Raises ArgumentError, with DuckDB's message, where it cannot be answered."""
        found = self._answer(sql, parameters)
        names = _distinct([str(entry[0]) for entry in found.description])
        columns = tuple(
            _column(name, str(entry[1])) for name, entry in zip(names, found.description, strict=True)
        )
        with self._limited():
            rows = [dict(zip(names, values, strict=True)) for values in found.fetchall()]
        return Table(columns, rows, title, self.remarks)

    def columns(self, sql: str, parameters: Sequence[Any] = ()) -> dict[str, Any]:
        """The result as arrays by column."""
        answer = self._answer(sql, parameters)
        with self._limited():
            found: dict[str, Any] = answer.fetchnumpy()
        return found

    def numeric_columns(self) -> list[str]:
        """Columns of `sweep` that hold numbers, which can be ranked."""
        described = self.connection.execute("DESCRIBE sweep").fetchall()
        return [name for name, kind, *_ in described if kind in ("BIGINT", "DOUBLE")]

    def to_parquet(self, sql: str) -> bytes:
        """The result as one Parquet file."""
        with self._limited():
            self._check(sql)
            found = self.connection.sql(sql)
            table = None if found is None else found.to_arrow_table()
        if table is None:
            raise _no_result()
        return arrow_to_parquet(table.rename_columns(_distinct(table.column_names)))

    def _answer(self, sql: str, parameters: Sequence[Any]) -> Any:
        with self._limited():
            self._check(sql)
            found = self.connection.execute(sql, parameters or None)
        if found.description is None:
            raise _no_result()
        return found

    def _check(self, sql: str) -> None:
        if self.limits.locked:
            _check_statements(sql)

    @contextmanager
    def _limited(self) -> Iterator[None]:
        """Turns DuckDB's errors into ours, and stops the query when its time is over."""
        import duckdb

        timer = None
        if math.isfinite(self.limits.timeout_s):
            timer = threading.Timer(self.limits.timeout_s, self.connection.interrupt)
            timer.daemon = True
            timer.start()
        try:
            yield
        except duckdb.InterruptException:
            raise ArgumentError(
                f"the query takes longer than {self.limits.timeout_s:g} s", "ask for less, or give --timeout"
            ) from None
        except duckdb.OutOfMemoryException as error:
            raise ArgumentError(
                f"the query needs too much memory: {error_text(error)}",
                "ask for less, or give --memory-limit",
            ) from None
        except duckdb.Error as error:
            raise _query_error(error) from None
        finally:
            if timer is not None:
                timer.cancel()


def open_sweep(folder: Path, limits: QueryLimits = QueryLimits()) -> SweepData:
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
    # union_by_name, because a shard has a column for a fact only if one of its architectures has it.
    try:
        connection.read_parquet(files, union_by_name=True).create_view("sweep")
    except duckdb.Error as error:
        raise DataError(
            f"a shard in {folder} is damaged: {error_text(error)}", "the same sweep again makes it anew"
        ) from None
    timed, devices = [], []
    for layout, settings in measured_layouts(folder, manifest):
        shards = list(shard_files(folder, layout, thorough=False))
        timed += [str(shard.path) for shard in shards if not shard.problem]
        devices += [settings.device] * any(not shard.problem for shard in shards)
        remarks += [f"{shard.path.name} {shard.problem}: left out" for shard in shards if shard.problem]
    if timed:
        connection.read_parquet(timed).create_view("measured")
    _limit(connection, [*files, *timed], limits)
    return SweepData(connection, manifest, tuple(remarks), tuple(devices), limits)


def _limit(connection: Any, files: Sequence[str], limits: QueryLimits) -> None:
    """Applies the limits to a connection. files: the shards, which the views read."""
    if limits.memory_bytes:
        connection.execute(f"SET memory_limit='{limits.memory_bytes}B'")
        connection.execute("SET temp_directory=''")
    if limits.locked:
        connection.execute("SET allowed_paths=?", [list(files)])
        connection.execute("SET enable_external_access=false")
        connection.execute("SET lock_configuration=true")


def _check_statements(sql: str) -> None:
    """Raises ArgumentError for any statement but SELECT. For DuckDB, DESCRIBE, SHOW and SUMMARIZE are kinds
    of SELECT.
    """
    import duckdb

    for statement in duckdb.extract_statements(sql):
        if statement.type != duckdb.StatementType.SELECT:
            kind = str(statement.type).rpartition(".")[2]
            raise ArgumentError(
                f"the query is no SELECT but {kind}", "--unlocked allows it, also to read and write files"
            )


def _distinct(names: Sequence[str]) -> list[str]:
    """The names of columns, each once: a second `cycles` becomes `cycles_1`."""
    made: list[str] = []
    for name in names:
        candidate, number = name, 0
        while candidate in made:
            number += 1
            candidate = f"{name}_{number}"
        made.append(candidate)
    return made


def _query_error(error: Exception) -> ArgumentError:
    return ArgumentError(
        f"the query fails: {error_text(error)}",
        "the tables are sweep and, where measured, measured; try DESCRIBE sweep",
    )


def _no_result() -> ArgumentError:
    return ArgumentError("the query returns nothing", "write a SELECT … FROM sweep")


def _column(name: str, kind: str) -> Column:
    """A column of the result as an array. kind: the DuckDB type of the column."""
    numeric = any(word in kind.upper() for word in ("INT", "DOUBLE", "FLOAT", "DECIMAL", "NUMBER"))
    if not numeric:
        return Column(name, name)
    shown, unit = _KINDS.get(name, (Kind.COUNT if "INT" in kind.upper() else Kind.NUMBER, ""))
    return Column(name, name, shown, unit)
