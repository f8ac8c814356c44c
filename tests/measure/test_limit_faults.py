"""Nothing is measured faster than its limit: stored measurements, and what is said of a row that is."""

from dataclasses import replace
from pathlib import Path

import pytest

from addercost.arithmetic import Arithmetic
from addercost.cost.estimate import estimate
from addercost.cost.target_registry import load_target
from addercost.counts.model import count
from addercost.measure.case import LayerCase, read_case
from addercost.measure.estimates import with_estimates
from addercost.measure.journal import read_measurements
from addercost.measure.layer_predictions import layer_predictor
from addercost.measure.limit_faults import TOLERANCE, faults, inside_share, with_faults
from addercost.results.measurements import MeasuredRow, PredictedTime

STORED = Path(__file__).parents[2] / "reports" / "amd-zen4"


def row(median_s: float, *limits: tuple[str, str, float]) -> MeasuredRow:
    return MeasuredRow(
        "conv1", "adder", (median_s,), predicted=tuple(PredictedTime(*limit) for limit in limits)
    )


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        pytest.param([("host", "throughput", 1.5)], {"host": 1.5}, id="half-again-as-fast"),
        pytest.param([("host", "throughput", 1.029)], {}, id="within-the-tolerance"),
        pytest.param([("host", "throughput", 1.031)], {"host": 1.031}, id="just-beyond"),
        pytest.param([("host", "throughput", 0.2)], {}, id="slower"),
        pytest.param([("host", "roofline", 9.0), ("host", "latency-sum", 9.0)], {}, id="other-models"),
        pytest.param(
            [("a", "throughput", 2.0), ("b", "throughput", 0.5), ("c", "throughput", 3.0)],
            {"a": 2.0, "c": 3.0},
            id="several-tables",
        ),
        pytest.param([], {}, id="no-estimates"),
    ],
)
def test_a_row_faster_than_throughput_is_a_fault_of_the_table(limits, expected):
    assert TOLERANCE == 0.03
    found = row(1.0, *limits)
    assert faults(found) == pytest.approx(expected)
    warned = with_faults(found)
    assert len(warned.warnings) == len(expected)
    for text, table in zip(warned.warnings, expected, strict=True):
        times = f"{expected[table]:.2f} times as fast"
        assert text == f"faster than throughput says, a fault of the table {table} ({times})"


def test_other_warnings_stay_and_old_faults_go():
    first = with_faults(replace(row(1.0, ("host", "throughput", 2.0)), warnings=("the clock moved",)))
    assert len(first.warnings) == 2
    assert with_faults(replace(first, predicted=())).warnings == ("the clock moved",)
    assert with_faults(first) == first


def taps_inside(case: LayerCase) -> float:
    """Brute force: every output, every tap."""
    inside = total = 0
    for p in range(case.output_size[0]):
        for q in range(case.output_size[1]):
            for r in range(case.filter_size[0]):
                for t in range(case.filter_size[1]):
                    y = p * case.stride[0] + r * case.dilation[0] - case.padding[0]
                    x = q * case.stride[1] + t * case.dilation[1] - case.padding[1]
                    inside += 0 <= y < case.size[0] and 0 <= x < case.size[1]
                    total += 1
    return inside / total


@pytest.mark.parametrize(
    "text",
    [
        "1,4,8,8,4,3,1,1", "1,4,8,8,4,1,1,0", "1,4,9,9,4,3,2,1", "1,4,7,7,4,5,2,2", "1,4,8,8,4,3x1,1,1x0",
        "1,4,8,8,4,3,1,2,1,2", "1,4,2,2,4,5,1,4", "1,4,8,8,4,7,3x2,3", "1,4,3,3,4,2,1,5", "linear:4,8,8",
    ],
)  # fmt: skip
def test_the_share_of_taps_on_the_image(text):
    case = read_case(text)
    assert inside_share(case) == pytest.approx(taps_inside(case))


@pytest.mark.parametrize(("arithmetic", "beats"), [("mac", False), ("adder", True)])
def test_products_with_a_zero_padding_need_not_be_done(arithmetic, beats):
    """8 × 8 with a 3 × 3 filter: (22 / 24)² = 0.84 of the taps are inside, and 1.1 · 0.84 < 1."""
    found = replace(row(1.0, ("host", "throughput", 1.1)), arithmetic=arithmetic, case="1,4,8,8,4,3,1,1")
    assert bool(faults(found)) is beats


@pytest.mark.parametrize(
    "name", sorted(path.name.removesuffix("-verdict.md") for path in STORED.glob("*-verdict.md"))
)
def test_no_stored_timing_of_this_machine_beats_the_limit_of_its_table(name):
    """The table is the machine's own, measured apart from these timings."""
    stored = read_measurements(STORED / f"{name}.json")
    predict = layer_predictor(("host",), ("throughput",), STORED, "channels-last", "warm")
    # Rows of whole models keep the estimates that they were stored with.
    rows = [row for row in with_estimates(stored, predict, ("host",)).rows if row.case and row.predicted]
    assert len(rows) > 10
    assert {row.label: faults(row) for row in rows if faults(row)} == {}
    # The limit says something: some layer comes within a factor of two of it.
    assert any(row.predicted[0].seconds > row.median_s / 2 for row in rows)


def test_the_limits_of_before_were_beaten():
    """Single instructions whose ports are unknown share one pool, in which additions never run on the
    multiply-add units: by that the adder layers of ResNet-50 run up to 1.2 times as fast as their limit."""
    host = load_target("host", STORED)
    blind = replace(host, loops=(), instructions=tuple(replace(i, ports="") for i in host.instructions))
    stored = read_measurements(STORED / "resnet50.json")
    ratios = []
    for timed in stored.rows:
        if timed.case and (timed.arithmetic, timed.dtype) == ("adder", "fp32") and timed.predicted:
            counts = count(read_case(timed.case).trace("fp32"), arithmetic=Arithmetic.ADDER)
            limit_s = estimate(counts, blind, "throughput").seconds
            ratios.append(limit_s / timed.median_s)
    assert 1.1 < max(ratios) < 1.3
