"""Faster, slower or cannot tell, between two runs."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from addercost.analysis.bench_diff import diff_benchmarks
from addercost.cli import run as run_cli
from addercost.errors import DataError
from addercost.report.tables.bench_diff import bench_diff_table
from addercost.results.intervals import RatioOutcome
from addercost.results.measurements import MeasuredRow, Measurements, measurements_to_json

ENVIRONMENT = {"cpu": "x", "torch": "2", "date": "1", "commit": "a"}
WIGGLE = (0.998, 1.002, 0.999, 1.001, 1.0, 1.0) * 5


def row(name: str, seconds: float, reference_s: float = 0.0, **changes: object) -> MeasuredRow:
    made = MeasuredRow(
        path=name,
        arithmetic="adder",
        samples_s=tuple(seconds * w for w in WIGGLE),
        implementation="ours",
        case="1,2,3",
        cache="warm",
        reference="torch fp32" if reference_s else "",
        reference_samples_s=tuple(reference_s * w for w in WIGGLE) if reference_s else (),
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def run_of(*rows: MeasuredRow, **environment: str) -> Measurements:
    return Measurements("m", {**ENVIRONMENT, **environment}, rows)


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        pytest.param(row("a", 1, 1), row("a", 1.2, 1), RatioOutcome.SLOWER, id="slower"),
        pytest.param(row("a", 1, 1), row("a", 0.8, 1), RatioOutcome.FASTER, id="faster"),
        pytest.param(row("a", 1, 1), row("a", 1, 1), RatioOutcome.CANNOT_TELL, id="the same"),
        pytest.param(row("a", 1, 1), row("a", 1.04, 1), RatioOutcome.CANNOT_TELL, id="within the margin"),
        pytest.param(
            row("a", 1, 1), row("a", 1.2, 1.2), RatioOutcome.CANNOT_TELL, id="the whole machine was slow"
        ),
        pytest.param(
            row("a", 1, 1), row("a", 1, 0.8), RatioOutcome.CANNOT_TELL, id="only the reference changed"
        ),
        pytest.param(row("a", 1), row("a", 1.2), RatioOutcome.SLOWER, id="no reference"),
        pytest.param(
            row("a", 1, 1, samples_s=(1.0, 1.0), reference_samples_s=(1.0, 1.0)),
            row("a", 2, 1),
            RatioOutcome.CANNOT_TELL,
            id="too few samples",
        ),
    ],
)
def test_one_row(before: MeasuredRow, after: MeasuredRow, expected: RatioOutcome) -> None:
    (found,) = diff_benchmarks(run_of(before), run_of(after)).rows
    assert found.verdict is expected


def test_a_reference_is_known_as_well_as_its_timings_agree() -> None:
    """It took 1 alone and 1.3 beside another row: 1.2 in the second run is no change."""
    reference = row("a", 1, implementation="torch", arithmetic="mac")
    other = row("a", 5, 1.3)
    slower = row("a", 1.2, implementation="torch", arithmetic="mac")
    found = diff_benchmarks(run_of(reference, other), run_of(slower, other))
    assert [r.verdict for r in found.rows] == [RatioOutcome.CANNOT_TELL, RatioOutcome.CANNOT_TELL]


@pytest.mark.parametrize(
    ("environment", "refused"),
    [
        pytest.param({"torch": "3"}, True, id="another torch"),
        pytest.param({"threads": "2"}, True, id="more threads"),
        pytest.param({"date": "2", "commit": "b", "addercost": "9"}, False, id="another day and commit"),
    ],
)
def test_environments(environment: dict[str, str], refused: bool) -> None:
    one, two = run_of(row("a", 1, 1)), run_of(row("a", 1.2, 1), **environment)
    if refused:
        with pytest.raises(DataError, match="different environments"):
            diff_benchmarks(one, two)
    else:
        assert diff_benchmarks(one, two).rows[0].verdict is RatioOutcome.SLOWER


def test_across_machines_only_ratios_count() -> None:
    """Twice as fast a machine: the ratio rose from 2 to 3, and no column has a time's change."""
    one = run_of(row("a", 2, 1), row("b", 1, case="b"))
    two = run_of(row("a", 1.5, 0.5), row("b", 0.5, case="b"), cpu="y")
    found = diff_benchmarks(one, two, across_machines=True)
    assert [r.verdict for r in found.rows] == [RatioOutcome.SLOWER]
    assert found.rows[0].time is None
    assert found.rows[0].against_reference is not None
    assert found.rows[0].against_reference[0] == pytest.approx(1.5)
    assert found.left_out == ("no common reference: b adder ours fp32, warm",)
    assert "time" not in {column.name for column in bench_diff_table(found).columns}


def test_the_interval_of_a_ratio_of_ratios() -> None:
    """Two medians known to ±2 % each: relative errors add as squares, so theirs is known to ±2.8 %."""
    values = (0.98, 1.02) * 3 + (1.0,)
    one = row("a", 1, samples_s=values)
    (found,) = diff_benchmarks(run_of(one), run_of(one)).rows
    assert found.time is not None and found.time[1] is not None
    assert found.time[1] == pytest.approx((1 - 0.0285, 1 + 0.0285), abs=3e-3)


def test_rows_of_one_side_are_listed() -> None:
    found = diff_benchmarks(
        run_of(row("a", 1), row("b", 1, case="b")), run_of(row("a", 1), row("c", 1, case="c"))
    )
    assert found.left_out == (
        "only in the second: c adder ours fp32, warm",
        "only in the first: b adder ours fp32, warm",
    )


def test_many_rows_of_one_side_are_counted() -> None:
    both = row("a", 1)
    found = diff_benchmarks(run_of(both, *(row(f"b{i}", 1, case=f"b{i}") for i in range(20))), run_of(both))
    notes = bench_diff_table(found).notes
    assert sum(note.startswith("only in the first") for note in notes) == 6 and "14 more rows" in notes[-1]


def test_warm_is_not_compared_with_cold() -> None:
    with pytest.raises(DataError, match="no row in common"):
        diff_benchmarks(run_of(row("a", 1)), run_of(row("a", 1, cache="cold")))


@pytest.mark.parametrize(
    ("after", "arguments", "code"),
    [
        pytest.param(1.2, [], 0, id="slower, not asked"),
        pytest.param(1.2, ["--fail-on", "slower"], 1, id="slower"),
        pytest.param(0.8, ["--fail-on", "slower"], 0, id="faster"),
        pytest.param(1.04, ["--fail-on", "slower"], 0, id="cannot tell"),
        pytest.param(1.04, ["--fail-on", "slower", "--margin", "1%"], 1, id="a smaller margin"),
    ],
)
def test_exit_code(after: float, arguments: list[str], code: int, tmp_path: Path, capsys) -> None:
    for name, seconds in (("a", 1.0), ("b", after)):
        (tmp_path / f"{name}.json").write_text(measurements_to_json(run_of(row("x", seconds, 1))))
    command = ["bench", "diff", str(tmp_path / "a.json"), str(tmp_path / "b.json"), *arguments]
    assert run_cli([*command, "--format", "json"]) == code
    (found,) = json.loads(capsys.readouterr().out)
    assert found["time"] == pytest.approx(after)


def test_another_schema(tmp_path: Path, capsys) -> None:
    path = tmp_path / "a.json"
    path.write_text('{"schema": "addercost/measurements/9"}')
    assert run_cli(["bench", "diff", str(path), str(path)]) == 6
    assert "this version reads addercost/measurements/1" in capsys.readouterr().err
