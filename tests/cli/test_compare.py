"""`addercost compare`, and what commands choose for each processor."""

from __future__ import annotations

import csv
import io

from tests.cli.commands import PAPER, Run, as_json


def test_compare(addercost: Run) -> None:
    text = addercost(
        "compare", "zoo:lenet5-bn", "--convention", "macs", "--as", "mac,adder,xnor",
        *PAPER, "--cpu", "amd-zen4", "--format", "csv",
    )  # fmt: skip
    rows = {row["arithmetic"]: row for row in csv.DictReader(io.StringIO(text))}
    assert float(rows["adder"]["ratio@via-nano-2000"]) == 1.5
    # Zen 4 takes 3 cycles for either (LLVM 22.1.8 scheduling model), so nothing is gained.
    assert float(rows["adder"]["ratio@amd-zen4"]) == 1.0
    assert int(rows["xnor"]["xnor"]) == 416_520


def test_arithmetics_may_be_a_list_or_an_option_each(addercost: Run) -> None:
    each = addercost("compare", "zoo:lenet5-bn", "--as", "adder", "--as", "mac,xnor", "--format", "csv")
    assert each == addercost("compare", "zoo:lenet5-bn", "--as", "adder,mac,xnor", "--format", "csv")


def test_compare_bounds_a_ratio_where_figures_are_missing(addercost: Run) -> None:
    """The VIA Nano's table has no division: 22 of them are missing on both sides. The binary network lacks
    shifts as well, so that nothing bounds its ratio.
    """
    compare = ("compare", "zoo:lenet5-bn", *PAPER, "--as", "mac,adder,xnor")
    text = addercost(*compare)
    assert "≥ 2,559,680" in text or "≥ 2.56M" in text
    mac, adder, xnor = as_json(addercost(*compare, "--format", "json"))
    bound = 2_559_680 / adder["cycles@via-nano-2000"]
    assert mac["cycles@via-nano-2000"] == 2_559_680 and adder["ratio@via-nano-2000"] == bound > 1
    assert f"≤ {bound:.3f}×" in text and xnor["ratio@via-nano-2000"] is None
    assert "No ratio where two rows lack different ones" in " ".join(text.split())
    assert "bounds" not in addercost("compare", "zoo:lenet5-bn", *PAPER, "--convention", "macs")


def test_each_processor_has_its_best_cost_model(addercost: Run) -> None:
    """The VIA Nano's table has no memory bandwidth, which the roofline model needs."""
    for command in ("profile", "diff"):
        specs = ("zoo:lenet5-bn",) if command == "profile" else ("zoo:lenet5-bn", "zoo:lenet5-bn:adder")
        cpus = ("--cpu", "via-nano-2000", "--cpu", "intel-skylake-x")
        text = addercost(command, *specs, "--convention", "macs", *cpus)
        assert "throughput" in text and "roofline" in text and "latency-sum" not in text
