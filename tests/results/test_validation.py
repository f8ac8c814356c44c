"""Scores of made-up rows by hand, rank correlations beside scipy's, the document and its journal."""

from __future__ import annotations

import json
import math
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from addercost.analysis.rank_correlation import kendall, ranks, spearman
from addercost.analysis.validation import HALF, percentile, scored, sets_half
from addercost.errors import DataError
from addercost.results.journal_lines import journal_path
from addercost.results.validation import (
    RowPrediction,
    Score,
    SkippedRow,
    Validation,
    ValidationRow,
    read_validation,
    validation_to_json,
)
from addercost.results.validation_journal import open_journal

RATIOS = (1.0, 1.08, 0.92, 1.2, 0.5)
"""predicted / measured. Errors: 0, 8, 8, 20 and 50 %."""


def rows(ratios: tuple[float, ...] = RATIOS, family: str = "") -> tuple[ValidationRow, ...]:
    return tuple(
        ValidationRow(
            f"net{i}",
            1.0 + i,
            (RowPrediction("model", (1.0 + i) * ratio, low_s=0.9 * (1.0 + i) * ratio, high_s=1.5 * (1 + i)),),
            family=family,
            mac_sites=100 - i,
            bytes_moved=7,
        )
        for i, ratio in enumerate(ratios)
    )


def scores(made: tuple[ValidationRow, ...], anchor: str = "") -> dict[tuple[str, str], Score]:
    result = scored(Validation("made", "none", {}, made), anchor)
    return {(score.model, score.scaled_by): score for score in result.scores}


def test_errors_are_those_of_the_ratios() -> None:
    """The P90 of five values lies at 0.9·4 = 3.6: 0.2 + 0.6·(0.5 - 0.2). Two of five are within 8 %."""
    score = scores(rows())["model", ""]
    assert score.rows == 5
    assert score.median_error == pytest.approx(0.08)
    assert score.p90_error == pytest.approx(0.2 + 0.6 * 0.3)
    assert score.bias == pytest.approx(0.0)
    assert (score.within_10, score.within_25) == (3 / 5, 4 / 5)
    logs = [math.log(ratio) for ratio in RATIOS]
    mean = sum(logs) / 5
    assert score.spread == pytest.approx(math.exp(math.sqrt(sum((x - mean) ** 2 for x in logs) / 5)))


def test_coverage_counts_measured_times_inside_the_interval() -> None:
    """The interval begins at 0.9 of the prediction: 0.9·1.2 = 1.08 is above what was measured."""
    assert scores(rows())["model", ""].coverage == 4 / 5


def test_baselines_have_an_order_and_no_error() -> None:
    """MACs fall as times rise, so their order is the opposite; bytes are all the same, so they have none."""
    found = scores(rows())
    assert found["MACs", ""].spearman == pytest.approx(-1)
    assert found["MACs", ""].median_error is None
    assert found["bytes", ""].spearman is None


def test_an_anchor_is_exact_and_is_not_scored() -> None:
    """net4 is predicted at half its time, so all others are doubled."""
    score = scores(rows(), "net4")["model", "net4"]
    assert score.rows == 4
    assert score.bias == pytest.approx((2.0 + 2.16) / 2 - 1)


def test_half_of_the_networks_set_the_factor_and_the_others_are_scored() -> None:
    """Twice too long in all: once one half has set the factor, the other half is exact."""
    made = rows((2.0,) * 40)
    other = [row for row in made if not sets_half(row.family, row.name)]
    score = scores(made)["model", HALF]
    assert 10 < len(other) < 30 and score.rows == len(other)
    assert score.median_error == pytest.approx(0)


def test_sizes_of_one_network_are_on_one_side() -> None:
    for i in range(20):
        assert sets_half("net", f"net{i} 224") == sets_half("net", f"net{i} 288 batch 4")


def test_worst_families_come_first() -> None:
    made = rows((1.3,) * 3, "far") + tuple(
        ValidationRow(f"b{i}", 1, (RowPrediction("model", 1.1),), family="near") for i in range(3)
    )
    worst = scores(made)["model", ""].worst
    assert [(item.family, round(item.median, 6), item.rows) for item in worst] == [
        ("far", 0.3, 3),
        ("near", 0.1, 3),
    ]


@pytest.mark.parametrize(
    ("share", "expected"), [(0.0, 1.0), (0.5, 2.5), (0.9, 3.7), (1.0, 4.0)], ids=["0", "50", "90", "100"]
)
def test_percentile(share: float, expected: float) -> None:
    assert percentile([4.0, 1.0, 3.0, 2.0], share) == pytest.approx(expected)


def test_ranks_share_ties() -> None:
    assert ranks([30, 10, 20, 20]) == [4, 1, 2.5, 2.5]


@settings(max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=2, max_size=30))
def test_rank_correlations_are_scipys(pairs: list[tuple[int, int]]) -> None:
    from scipy import stats

    x, y = zip(*pairs, strict=True)
    for ours, theirs in ((spearman, stats.spearmanr), (kendall, stats.kendalltau)):
        found = ours(x, y)
        if len(set(x)) == 1 or len(set(y)) == 1:
            assert found is None
        else:
            assert found == pytest.approx(theirs(x, y).statistic, abs=1e-12)


def document() -> Validation:
    skipped = (SkippedRow("unknown", "no such network"),)
    return scored(Validation("made", "none", {"dtype": "fp32"}, rows(), skipped=skipped, notes=("a",)))


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    file = tmp_path / "validation.json"
    file.write_text(validation_to_json(document()))
    assert read_validation(file) == document()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        pytest.param({"schema": "addercost/validation/9"}, "has schema addercost/validation/9", id="version"),
        pytest.param({"schema": "x"}, "is not a validation of addercost", id="something else"),
        pytest.param({"source": ""}, "source", id="no source"),
        pytest.param({"scores": [{}]}, "scores[0]", id="a score without fields"),
        pytest.param({"more": 1}, "more", id="an unknown field"),
    ],
)
def test_damaged_documents_are_one_line(change: dict[str, object], words: str, tmp_path: Path) -> None:
    file = tmp_path / "validation.json"
    file.write_text(json.dumps({**json.loads(validation_to_json(document())), **change}))
    with pytest.raises(DataError) as caught:
        read_validation(file)
    assert words in str(caught.value) and "\n" not in str(caught.value)


def test_a_journal_cut_off_at_any_byte_goes_on(tmp_path: Path) -> None:
    """Whatever is left: whole rows are kept, and the rest can be added again."""
    output, wanted = tmp_path / "validation.json", {"dtype": "fp32"}
    journal = open_journal(output, wanted)
    entries = [*rows(), SkippedRow("unknown", "no such network")]
    for entry in entries:
        journal.add(entry)
    whole = journal_path(output).read_bytes()
    for cut in random.Random(0).sample(range(len(whole)), 40):
        journal_path(output).write_bytes(whole[:cut])
        found = open_journal(output, wanted)
        assert len(found.entries) == max(whole[:cut].count(b"\n") - 1, 0)
        for entry in entries[len(found.entries) :]:
            found.add(entry)
        assert list(open_journal(output, wanted).entries.values()) == entries


def test_of_many_other_settings_three_are_named(tmp_path: Path) -> None:
    output = tmp_path / "validation.json"
    open_journal(output, dict.fromkeys(("one", "two", "three", "four"), "a"))
    with pytest.raises(DataError) as caught:
        open_journal(output, dict.fromkeys(("one", "two", "three", "four"), "b"))
    assert "(one a, now b; two a, now b; three a, now b)" in str(caught.value)


def test_a_journal_of_other_settings_is_refused(tmp_path: Path) -> None:
    output = tmp_path / "validation.json"
    open_journal(output, {"dtype": "fp32"})
    with pytest.raises(DataError, match="dtype fp32, now fp16"):
        open_journal(output, {"dtype": "fp16"})
