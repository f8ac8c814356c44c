"""SQL of somebody else's reads the sweep and does nothing else, in bounded time and memory."""

from __future__ import annotations

import shutil
from pathlib import Path

import duckdb
import pytest

from addercost.cli import run
from addercost.errors import ArgumentError, DataError
from addercost.sweep.queries.sweep_data import QueryLimits, open_sweep

ENDLESS = "SELECT count(*) FROM range(1000000000) a, range(1000000000) b WHERE a.range + b.range = 1"


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM read_csv('{file}')",
        "SELECT * FROM read_text('{file}')",
        "SELECT * FROM '{file}'",
        "SELECT * FROM glob('{folder}/*')",
        "COPY sweep TO '{folder}/stolen.csv'",
        "COPY (SELECT 1 AS a) TO '{shard}' (FORMAT parquet, USE_TMP_FILE false)",
        "EXPLAIN ANALYZE COPY (SELECT 1 AS a) TO '{shard}' (FORMAT parquet, USE_TMP_FILE false)",
        "SELECT 1; COPY (SELECT 1 AS a) TO '{shard}' (FORMAT parquet, USE_TMP_FILE false)",
        "EXPORT DATABASE '{folder}/all'",
        "ATTACH '{folder}/x.db'",
        "SET enable_external_access=true",
        "RESET enable_external_access",
        "INSTALL httpfs",
        "LOAD httpfs",
        "CREATE TABLE t AS SELECT 1",
        "DROP VIEW sweep",
        "PRAGMA database_list",
    ],
)
def test_a_query_reads_the_sweep_and_nothing_else(
    sql: str, swept: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    secret = tmp_path / "secret.csv"
    secret.write_text("word\nsesame\n")
    shard = next(swept.rglob("*.parquet"))
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    given = sql.format(file=secret, folder=tmp_path, shard=shard)
    assert run(["query", str(swept), given]) == 2
    said = capsys.readouterr()
    assert "sesame" not in said.out + said.err and said.err.count("\n") == 1
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_unlocked_a_query_reads_and_writes_files(
    swept: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "mine.csv"
    file.write_text("word\nsesame\n")
    assert run(["query", str(swept), f"SELECT * FROM read_csv('{file}')", "--unlocked"]) == 0
    assert "sesame" in capsys.readouterr().out


@pytest.mark.parametrize("sql", ["DESCRIBE sweep", "SHOW TABLES", "SUMMARIZE sweep", "SELECT 1 AS one"])
def test_questions_about_the_sweep_are_answered(sql: str, swept: Path) -> None:
    assert run(["query", str(swept), sql]) == 0


def test_an_endless_query_is_stopped(swept: Path) -> None:
    """Unstopped it would take years."""
    with pytest.raises(ArgumentError, match=r"takes longer than 0\.2 s; ask for less, or give --timeout"):
        open_sweep(swept, QueryLimits(timeout_s=0.2)).table(ENDLESS)


def test_a_query_that_needs_too_much_memory_is_refused(swept: Path, tmp_path: Path) -> None:
    data = open_sweep(swept, QueryLimits(memory_bytes=20_000_000))
    with pytest.raises(ArgumentError, match="too much memory"):
        data.table("SELECT list(a.range) AS l FROM range(100000000) a")
    assert not list(Path.cwd().glob(".tmp")), "nothing was written to the disk in its place"


def test_columns_are_positions_and_not_names(swept: Path, tmp_path: Path) -> None:
    """Two columns may have one name: each keeps its own values, under a name of its own."""
    sql = "SELECT 1 AS cycles, 2 AS cycles, 3 AS cycles_1, 4 AS x"
    table = open_sweep(swept).table(sql)
    assert [list(row.values()) for row in table.rows] == [[1, 2, 3, 4]]
    assert [column.name for column in table.columns] == ["cycles", "cycles_1", "cycles_1_1", "x"]
    import pyarrow.parquet

    (tmp_path / "x.parquet").write_bytes(open_sweep(swept).to_parquet(sql))
    read = pyarrow.parquet.read_table(tmp_path / "x.parquet")
    assert [column.to_pylist() for column in read.columns] == [[1], [2], [3], [4]]


@pytest.mark.parametrize("size", ["-1G", "0", "nan", "inf", "1e30", "much"])
def test_a_limit_that_is_no_size_is_one_line(
    size: str, swept: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["query", str(swept), "SELECT 1", "--memory-limit", size]) == 2
    assert capsys.readouterr().err.startswith("addercost: --memory-limit")


@pytest.mark.parametrize("seconds", ["nan", "inf", "-1", "0"])
def test_a_time_limit_is_a_finite_number(seconds: str, swept: Path) -> None:
    assert run(["query", str(swept), "SELECT 1", "--timeout", seconds]) == 2


def test_a_moved_sweep_is_read_where_it_is(swept: Path, tmp_path: Path) -> None:
    """The files that a locked query may read are found anew at each opening."""
    shutil.move(swept, tmp_path / "elsewhere")
    assert open_sweep(tmp_path / "elsewhere").table("SELECT count(*) AS n FROM sweep").rows[0]["n"] > 0


def test_a_shard_that_duckdb_cannot_read_is_one_line(swept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its footer is whole, so that it counts as finished."""

    class Refusing:
        def read_parquet(self, *_: object, **__: object) -> None:
            raise duckdb.Error("TProtocolException: Invalid data")

    monkeypatch.setattr(duckdb, "connect", lambda **_: Refusing())
    with pytest.raises(DataError, match=r"a shard in .* is damaged: TProtocolException"):
        open_sweep(swept)
