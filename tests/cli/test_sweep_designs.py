"""`addercost sweep designs`: fronts as a table, CSV, JSON and a figure, and what is refused."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from click.testing import CliRunner

from addercost.cli.group import cli
from addercost.errors import ArgumentError

COMMAND = ["sweep", "designs", "zoo:lenet5-bn", "--rows", "8,16", "--columns", "8:24:8", "--quiet"]


def rows_of(*arguments: str) -> list[dict[str, str]]:
    result = CliRunner().invoke(cli, [*COMMAND, "--format", "csv", *arguments])
    assert result.exit_code == 0, result.output
    table = "\n".join(line for line in result.stdout.splitlines() if not line.startswith("#"))
    return list(csv.DictReader(io.StringIO(table)))


def test_all_designs_and_their_fronts() -> None:
    every = rows_of("--all", "--element", "mac,adder", "--format-of-operands", "int8")
    assert len(every) == 2 * 3 * 3 * 2
    best = rows_of("--element", "mac,adder", "--format-of-operands", "int8")
    assert 0 < len(best) < len(every)
    for row in best:
        same = [other for other in every if other["element"] == row["element"]]
        assert not any(
            float(other["seconds"]) < float(row["seconds"])
            and float(other["energy_j"]) < float(row["energy_j"])
            for other in same
        )


def test_no_design_is_larger_than_the_area_allows() -> None:
    rows = rows_of("--max-area", "0.05", "--all")
    assert rows and all(float(row["area_mm2"]) <= 0.05 for row in rows)


def test_the_figure(tmp_path: Path) -> None:
    path = tmp_path / "designs.svg"
    rows_of("--figure", str(path))
    assert path.read_bytes().startswith(b"<?xml")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--rows", "0"], "are no sizes"),
        (["--rows", "8:4:2"], "are no sizes"),
        (["--rows", "8:64:0"], "are no sizes"),
        (["--columns", "-3"], "are no sizes"),
        (["--columns", "1:65536:1", "--rows", "1:64:1"], "designs are more than"),
        (["--columns", "100000"], "are no sizes"),
        (["--dataflow", "row-stationary"], "unknown dataflow"),
        (["--element", "multiplier"], "unknown element"),
        (["--format-of-operands", "int4"], "unknown format"),
        (["--accelerator", "npu-256"], "has one row"),
        (["--accelerator", "npu-256", "--rows", "1"], "keep sums"),
        (["--max-area", "1e-9"], "no design"),
        (["--figure", "designs.gif"], "no figure format"),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_line(arguments: list[str], message: str) -> None:
    result = CliRunner().invoke(cli, [*COMMAND, *arguments])
    assert isinstance(result.exception, ArgumentError)
    assert message in str(result.exception) and "\n" not in str(result.exception)
