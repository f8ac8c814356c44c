"""Accuracies over seeds, paired differences, and the tables made of them. Needs no torch."""

from __future__ import annotations

import math
import random
import re
import statistics
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from addercost.analysis.paper_order import ORDER
from addercost.errors import DataError
from addercost.report.formats.table_format import TableFormat, render
from addercost.report.tables.accuracy import order_table, reproduced_table, results_table
from addercost.report.training_report import training_report_files
from addercost.results.accuracies import (
    METHODS,
    Accuracies,
    Difference,
    SeedRun,
    accuracies_from_data,
    digits_accuracies,
    paired,
    permutation_p,
)
from addercost.results.plain import to_plain

ROOT = Path(__file__).parents[2]
LABELS = "0123456789" * 4


def made(shares: dict[str, float], seeds: int = 5) -> Accuracies:
    """Methods that have a given share of images right, chosen anew by each seed."""
    draw = random.Random(7)
    runs = []
    for method, share in shares.items():
        for seed in range(seeds):
            wrong = set(draw.sample(range(len(LABELS)), round((1 - share) * len(LABELS))))
            said = "".join(str((int(c) + (i in wrong)) % 10) for i, c in enumerate(LABELS))
            runs.append(SeedRun(method, seed, "zoo:lenet5-bn", said))
    return Accuracies("digits", LABELS, tuple(runs))


def test_mean_spread_and_error_by_hand() -> None:
    """Four images, two seeds: right are 3 and 1."""
    runs = (SeedRun("cnn", 1, "m", "0001"), SeedRun("cnn", 0, "m", "0099"))
    found = Accuracies("digits", "0000", (*runs, SeedRun("cnn", 2, "m", "0000"))).of("cnn")
    assert found is not None
    assert found.by_seed == (50.0, 75.0, 100.0), "in the order of the seeds"
    assert found.mean == 75 and found.spread == 25
    assert found.by_image == pytest.approx((100, 100, 200 / 3, 100 / 3))
    deviations = [25, 25, 200 / 3 - 75, 100 / 3 - 75]
    assert found.standard_error == pytest.approx(math.sqrt(sum(d * d for d in deviations) / 3) / 2)


def test_paired_difference_by_hand() -> None:
    labels = "01234"
    one = [SeedRun("cnn", s, "m", said) for s, said in enumerate(("01234", "01239"))]
    two = [SeedRun("bnn", s, "m", said) for s, said in enumerate(("01239", "91239"))]
    results = Accuracies("digits", labels, (*one, *two))
    first, second = results.of("cnn"), results.of("bnn")
    assert first is not None and second is not None
    found = paired(first, second)
    assert found.points == pytest.approx(20), "100 and 80 against 80 and 60"
    images = [50, 0, 0, 0, 50]
    assert found.image_error == pytest.approx(statistics.stdev(images) / math.sqrt(5))
    # 100 and 80 against 80 and 60: either 80 may stand on either side, and the sides may change places.
    assert found.seed_p == pytest.approx(4 / 6)


@pytest.mark.parametrize(
    ("points", "image_error", "seed_p", "verdict"),
    [
        (3.0, 1.0, 0.01, "above"),
        (-3.0, 1.0, 0.05, "below"),
        (2.0, 1.0, 0.01, "cannot tell"),
        (3.0, 1.0, 0.06, "cannot tell"),
        (0.0, 0.0, 1.0, "cannot tell"),
    ],
)
def test_verdicts(points: float, image_error: float, seed_p: float, verdict: str) -> None:
    assert Difference("a", "b", points, image_error, seed_p).verdict == verdict


def test_five_seeds_that_are_all_higher() -> None:
    """2 of 252 ways: all to the one, or all to the other."""
    assert permutation_p((5, 6, 7, 8, 9), (0, 1, 2, 3, 4)) == pytest.approx(2 / 252)
    assert permutation_p((0, 1, 2, 3, 4), (5, 6, 7, 8, 99)) == pytest.approx(2 / 252)
    assert permutation_p((1, 1), (1, 1)) == 1


def test_equal_methods_seldom_get_a_verdict() -> None:
    """Of 200 pairs with the same chance of being right few have a verdict: 5 %."""
    draw, verdicts = random.Random(5), 0
    labels = "0" * 100
    for _ in range(200):
        runs = [
            SeedRun(method, seed, "m", "".join("0" if draw.random() < 0.9 else "1" for _ in labels))
            for method in ("cnn", "bnn")
            for seed in range(5)
        ]
        results = Accuracies("digits", labels, tuple(runs))
        first, second = results.of("cnn"), results.of("bnn")
        assert first is not None and second is not None
        verdicts += paired(first, second).verdict != "cannot tell"
    assert verdicts <= 20


def test_order_of_a_made_up_result() -> None:
    shares = {
        "cnn": 1.0,
        "cnn-norms": 1.0,
        "full-alr": 1.0,
        "full-ilr": 0.5,
        "sign-alr": 0.9,
        "sign-ilr": 0.5,
        "bnn": 0.2,
    }
    rows = order_table(made(shares)).rows
    holds = {(first, second): row["holds"] for (_, first, second, _), row in zip(ORDER, rows, strict=True)}
    assert holds == {
        ("full-alr", "cnn"): "no difference seen",
        ("full-alr", "cnn-norms"): "no difference seen",
        ("full-alr", "full-ilr"): "holds",
        ("full-alr", "sign-alr"): "holds",
        ("full-ilr", "sign-ilr"): "cannot tell",
        ("sign-alr", "sign-ilr"): "holds",
        ("full-ilr", "sign-alr"): "does not hold",
        ("bnn", "full-alr"): "holds",
    }
    worse = order_table(made({**shares, "full-alr": 0.5})).rows
    assert worse[0]["holds"] == "does not hold, it is below"


def test_round_trip() -> None:
    results = made({"cnn": 0.9})
    assert accuracies_from_data({"schema": "addercost/accuracies/1", **to_plain(results)}, "x") == results


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"schema": "addercost/accuracies/9"}, "this version reads"),
        ({"labels": "01"}, "40 predictions"),
        ({"runs": [{"method": "gnn", "seed": 0, "model": "m", "predicted": LABELS}]}, "unknown method"),
    ],
)
def test_damaged_results(change: dict[str, Any], words: str) -> None:
    document = {"schema": "addercost/accuracies/1", **to_plain(made({"cnn": 0.9}))}
    with pytest.raises(DataError, match=words):
        accuracies_from_data(document | change, "x")


def test_ours_are_complete() -> None:
    """Five seeds of every method the paper compares, on the 600 test images."""
    results = digits_accuracies()
    for method in METHODS:
        found = results.of(method)
        assert found is not None and [run.seed for run in found.runs] == list(range(5)), method
    assert len(results.labels) == 600
    assert {"torch", "python", "addercost", "processor", "processor seconds of all runs"} <= set(
        results.environment
    )
    for method in ("full-ilr", "sign-ilr"):
        assert len([row for row in results.tuning if row.method == method]) >= 3


@pytest.mark.exhaustive
def test_labels_are_those_of_the_digits() -> None:
    from sklearn.datasets import load_digits

    assert digits_accuracies().labels == "".join(map(str, load_digits().target[1197:]))


def test_the_report_is_what_the_results_say() -> None:
    folder = ROOT / "reports" / "training-digits"
    files = training_report_files(digits_accuracies())
    different = [name for name, text in files.items() if (folder / name).read_text("utf-8") != text]
    assert not different, "run tools/train_digits.py --only-report and look at what changed"
    assert not re.search(r"/home/|/root/|/tmp/|/work/", "".join(files.values()))
    pictures = {path.name for path in folder.glob("*.svg")}
    assert all(f"({name})" in files["report.md"] for name in pictures) and len(pictures) == 6


@pytest.mark.parametrize("width", [80, 200])
def test_tables_fit_a_terminal(width: int) -> None:
    results = digits_accuracies()
    for table in (results_table(results), order_table(results), reproduced_table(results)):
        # Notes wrap by themselves.
        lines = render(replace(table, notes=()), TableFormat.TABLE, width).splitlines()
        assert max(map(len, lines)) <= width


def test_published_figures_beside_ours() -> None:
    rows = reproduced_table(digits_accuracies()).rows
    assert len(rows) == 5 + 2 + 24, (
        "MNIST ablation, our two controls, and three ways of 8 networks and data sets"
    )
    found = digits_accuracies().of("full-alr")
    assert found is not None
    assert rows[1]["published_percent"] == 99.40 and rows[1]["ours_percent"] == found.mean
    assert rows[1]["ours_on"] == "digits"
    assert not any("ours_percent" in row for row in rows if row["dataset"] != "MNIST")
