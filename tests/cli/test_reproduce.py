"""`addercost reproduce` and `reconcile` as a user runs them."""

from __future__ import annotations

from tests.cli.commands import Run, as_json


def test_reproduce_latency(addercost: Run) -> None:
    rows = as_json(addercost("reproduce", "latency", "--format", "json"))
    by_way = {row["way"]: row for row in rows}
    assert by_way["the paper"]["cnn_cycles"] == 435_000 * 6
    assert by_way["the paper"]["adder_cycles"] == 870_000 * 2
    assert by_way["thop rule"]["cnn_mul"] == 435_432
    assert by_way["plain MACs"]["cnn_cycles"] == 416_520 * 6
    assert by_way["plain MACs"]["adder_cycles"] == 416_520 * 4
    assert [by_way[way]["ratio"] for way in ("the paper", "thop rule", "plain MACs")] == [1.5] * 3
    # SSE: MULSS 3, ADDSS 2 to 3 (the same sheet): (3 + 2) / 4 and (3 + 3) / 6.
    assert [by_way[f"plain MACs, SSE add {add}"]["ratio"] for add in (2, 3)] == [1.25, 1.0]
    assert by_way["the paper"]["cnn_published"] == "2.6M"


def test_reproduce_counts(addercost: Run) -> None:
    rows = as_json(addercost("reproduce", "counts", "--format", "json"))
    verdicts = {(row["model"], row["convention"]): (row["computed_mul"], row["verdict"]) for row in rows}
    assert verdicts == {
        ("zoo:lenet5-bn", "macs"): (416_520, "does not"),
        ("zoo:lenet5-bn", "thop"): (435_432, "reproduces"),
        ("zoo:vgg-small", "macs"): (607_600_640, "does not"),
        ("zoo:resnet20-cifar", "macs"): (40_813_184, "does not"),
        ("zoo:resnet32-cifar", "macs"): (69_124_736, "reproduces"),
        ("zoo:resnet18", "macs"): (1_814_073_344, "reproduces"),
        ("zoo:resnet50-v1", "macs"): (3_857_973_248, "reproduces"),
        ("zoo:resnet50", "macs"): (4_089_184_256, "does not"),
    }


def test_reconcile(addercost: Run) -> None:
    """thop's 435,432 for LeNet-5-BN, and torchvision's published 17.564 for vit_b_16."""
    rows = {row["tool"]: row for row in as_json(addercost("reconcile", "zoo:lenet5-bn", "--format", "json"))}
    assert rows["thop, April 2020 to June 2022"]["reported"] == 435_432
    rows = {
        row["tool"]: row
        for row in as_json(addercost("reconcile", "torchvision:vit_b_16", "--format", "json"))
    }
    assert rows["torchvision, published"]["reported"] == 17.564e9
    assert round(rows["torchvision _ops"]["reported"] / 1e9, 3) == 17.564
