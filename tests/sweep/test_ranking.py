"""Top, Pareto front and the ceilings of tied ranks."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sweep_spaces import here

from addercost.cli import run
from addercost.models.nasbench201_cells import CELLS, OPERATIONS, cell_at, cell_text
from addercost.results.sweep_settings import SweepSettings
from addercost.sweep.queries.ranking import front
from addercost.sweep.queries.sweep_data import open_sweep
from addercost.sweep.queries.tie_ceiling import tie_ceiling
from addercost.sweep.run import plan, sweep


@settings(max_examples=30)
@given(st.lists(st.integers(0, 4), min_size=2, max_size=7))
def test_no_strict_order_agrees_better_than_the_ceiling(values: list[int]) -> None:
    """ρ against every strict order of a few members: the ceiling is reached and not passed."""
    from scipy.stats import kendalltau, rankdata, spearmanr

    limit = tie_ceiling(np.array(values))
    if len(set(values)) == 1:
        assert (limit.rho, limit.tau_b) == (0, 0)
        return
    order = np.argsort(np.argsort(values, kind="stable"))
    assert spearmanr(rankdata(values), order).statistic == pytest.approx(limit.rho)
    assert kendalltau(values, order).statistic == pytest.approx(limit.tau_b)
    others = itertools.islice(itertools.permutations(range(len(values))), 720)
    assert max(spearmanr(values, other).statistic for other in list(others)[::7]) <= limit.rho + 1e-9


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5), st.integers(0, 2)), min_size=1, max_size=25))
def test_the_front_is_what_no_other_beats(points: list[tuple[int, int, int]]) -> None:
    def beats(a: tuple[int, ...], b: tuple[int, ...]) -> bool:
        return all(x <= y for x, y in zip(a, b, strict=True)) and a != b

    expected = {i for i, point in enumerate(points) if not any(beats(other, point) for other in points)}
    assert set(front(np.array(points, dtype=float))) == expected


def test_nasbench201_has_84_different_numbers_of_operations() -> None:
    """a 1×1s, b 3×3s and c pools on six edges: C(6 + 3, 3) ways."""
    counted = ("nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
    vectors = {tuple(cell_at(i).count(op) for op in counted) for i in range(CELLS)}
    assert len(vectors) == math.comb(9, 3) == 84


def test_cells_are_written_as_published() -> None:
    text = "|nor_conv_3x3~0|+|nor_conv_3x3~0|avg_pool_3x3~1|+|skip_connect~0|nor_conv_3x3~1|skip_connect~2|"
    assert text in {cell_text(cell_at(i)) for i in range(CELLS)}
    assert len({cell_at(i) for i in range(CELLS)}) == CELLS == len(OPERATIONS) ** 6


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sweep of the models of the zoo, each with an invented accuracy."""
    where = tmp_path_factory.mktemp("ranking")
    text = """
import torch
from addercost.models.zoo import ZOO
from addercost.arithmetic import Arithmetic
architectures = [
    (name, lambda m=m: m.build(Arithmetic.MAC), torch.empty(m.input_shape), {"accuracy": 90 + i})
    for i, (name, m) in enumerate(ZOO.items())
]
"""
    (where / "space.py").write_text(text)
    axes = SweepSettings(
        cpus=("via-nano-2000", "amd-zen4"),
        energies=("45nm",),
        arithmetics=("mac", "adder"),
        cost_model="latency-sum",
    )
    sweep(plan(str(where / "space.py"), axes), where / "out", engine=here)
    return where / "out"


def test_top_by_cycles_within_a_limit(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = [
        "sweep",
        "top",
        str(folder),
        "--by",
        "cycles@via-nano-2000",
        "--limit",
        "accuracy>91",
        "-n",
        "2",
    ]
    assert run([*arguments, "--format", "csv"]) == 0
    assert [line.split(",")[:2] for line in capsys.readouterr().out.splitlines()] == [
        ["rank", "name"],
        ["1", "resnet20-cifar"],
        ["2", "resnet32-cifar"],
    ]


def test_ties_are_a_note(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["sweep", "top", str(folder), "--by", "batch"]) == 0
    out = capsys.readouterr().out
    assert "8 architectures have 1 different values" in out and "ρ = 0.0000" in out


def test_the_front_in_a_file(folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "front.parquet"
    assert (
        run(["sweep", "pareto", str(folder), "--min", "energy_j@45nm", "--max", "accuracy", "-o", str(file)])
        == 0
    )
    found = pq.read_table(file).to_pylist()
    assert found[0]["name"] == "lenet5-bn"
    assert [row["accuracy"] for row in found] == sorted(row["accuracy"] for row in found)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        pytest.param(["top", "--by", "cycles"], "write it as cycles@NAME", id="no processor"),
        pytest.param(["top", "--by", "cycles@zen"], "unknown hardware of this sweep", id="another processor"),
        pytest.param(["top", "--by", "speed"], "unknown metric", id="metric"),
        pytest.param(["top", "--by", "mul@amd-zen4"], "does not depend on hardware", id="not of hardware"),
        pytest.param(["top", "--by", "mul", "--limit", "accuracy"], "is no limit", id="limit"),
        pytest.param(["top", "--by", "mul", "--batch", "3"], "has no batch 3", id="batch"),
        pytest.param(["pareto", "--min", "mul"], "needs two metrics", id="one metric"),
    ],
)
def test_wrong_arguments(
    arguments: list[str], error: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["sweep", arguments[0], str(folder), *arguments[1:]]) == 2
    assert error in capsys.readouterr().err


def test_queries(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sql = "SELECT name, min(cycles) AS c FROM sweep GROUP BY name ORDER BY c LIMIT 1"
    assert run(["query", str(folder), sql, "--format", "csv"]) == 0
    assert capsys.readouterr().out.splitlines()[1].startswith("lenet5-bn,")
    assert run(["query", str(folder), sql, "-o", str(tmp_path / "x.parquet")]) == 0
    assert run(["query", str(folder), "SELECT nothing FROM sweep"]) == 2
    assert run(["query", str(folder), "SELEC"]) == 2
    assert run(["query", str(tmp_path), "SELECT 1"]) == 6


def test_a_dry_run_says_how_many_rows(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["sweep", "zoo:lenet5*", "--dry-run", "--as", "mac,adder", "--cpu", "amd-zen4"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("1 architecture, 2 rows in 1 shard\nabout ")


@pytest.mark.parametrize(
    "kind", ["scatter", *(pytest.param(kind, marks=pytest.mark.exhaustive) for kind in ("pareto", "rank"))]
)
def test_figures_of_a_sweep(folder: Path, kind: str, tmp_path: Path) -> None:
    """plot draws a folder; what it shows are the metrics of the sweep."""
    from addercost.cli.plot_sweep import draw_sweep
    from addercost.report.plots.style import PlotOptions

    assert run(["plot", kind, str(folder), "--width", "single", "-o", str(tmp_path / "f.svg")]) == 0
    drawn = draw_sweep(kind, folder, None, None, ["mac"], PlotOptions())
    cells = {row["name"]: row["cycles@via-nano-2000"] for row in drawn.table.rows}
    data = open_sweep(folder)
    sql = "SELECT name, cycles FROM sweep WHERE cpu = 'via-nano-2000' AND arithmetic = 'mac'"
    assert cells == {row["name"]: row["cycles"] for row in data.table(sql).rows}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        pytest.param(["roofline"], "not drawn from a sweep", id="a figure of a model"),
        pytest.param(["scatter", "--x", "cyles@amd-zen4"], "cycles", id="a metric misspelt"),
        pytest.param(["scatter", "--as", "shift"], "the sweep has no shift", id="an arithmetic it lacks"),
    ],
)
def test_no_figure_of_a_sweep(
    folder: Path, arguments: list[str], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kind, *rest = arguments
    assert run(["plot", kind, str(folder), *rest, "-o", str(tmp_path / "f.svg")]) == 2
    assert words in capsys.readouterr().err and not (tmp_path / "f.svg").exists()
