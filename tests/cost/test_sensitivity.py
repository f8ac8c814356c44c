"""Latency ranges, Monte Carlo and break-even, as array functions."""

import numpy as np
import pytest
from counted_layers import Layer, adder_layer, mac_layer
from hypothesis import given
from hypothesis import strategies as st

from addercost.arithmetic import OpCounts
from addercost.cost.estimate import estimate
from addercost.cost.layers import operation_keys
from addercost.cost.sensitivity import (
    break_even_ratio,
    count_matrix,
    cycles,
    latencies,
    monte_carlo,
    tornado,
)
from addercost.cost.target import Target
from addercost.cost.target_registry import load_target
from addercost.hardware import Form, Instruction, Quality, list_hardware

TARGETS = [load_target(file.name) for file in list_hardware(kind="cpu")]
CNN = OpCounts.of(mul=435_000, add=435_000)
ADDER = OpCounts.of(add=870_000)
NETWORKS = [
    CNN,
    ADDER,
    OpCounts.of(mul=100, add=200, compare=50, divide=10),
    OpCounts.of("int8", mul=7),
    # One operation without a figure is enough to leave the sum unknown.
    OpCounts.of(mul=100, transcendental=1),
]
KEYS = operation_keys(NETWORKS)


def test_the_matrix_product_is_the_latency_sum_model():
    product = cycles(latencies(TARGETS, KEYS), count_matrix(NETWORKS, KEYS))
    for p, target in enumerate(TARGETS):
        for m, network in enumerate(NETWORKS):
            cost = estimate([Layer(network)], target, "latency-sum")
            if cost.complete:
                assert product[p, m] == cost.cycles
            else:
                assert np.isnan(product[p, m])


def test_draws_stay_within_the_ranges():
    table = latencies(TARGETS, KEYS)
    matrix = count_matrix(NETWORKS, KEYS)
    drawn = monte_carlo(table, matrix, draws=200)
    assert drawn.shape == (200, len(TARGETS), len(NETWORKS))
    low, high = table.low @ matrix.T, table.high @ matrix.T
    known = ~np.isnan(drawn[0])
    assert (drawn >= low - 1e-6)[:, known].all()
    assert (drawn <= high + 1e-6)[:, known].all()


def test_a_seed_gives_the_same_draws():
    table, matrix = latencies(TARGETS[:2], KEYS), count_matrix(NETWORKS, KEYS)
    np.testing.assert_array_equal(
        monte_carlo(table, matrix, 10, seed=3), monte_carlo(table, matrix, 10, seed=3)
    )
    assert (monte_carlo(table, matrix, 10, seed=3) != monte_carlo(table, matrix, 10, seed=4)).any()


def test_the_sources_own_range_is_used_where_it_has_one():
    nano = load_target("via-nano-2000")
    # IMUL r32 takes 4 to 6 cycles; x87 FMUL is a single figure, 4, widened by the assumed fifth.
    table = latencies([nano], operation_keys([OpCounts.of(mul=1), OpCounts.of("int32", mul=1)]))
    assert dict(zip(table.keys, zip(table.low[0], table.high[0], strict=True), strict=True)) == {
        ("mul", "fp32"): (4 * 0.8, 4 * 1.2),
        ("mul", "int32"): (4, 6),
    }


def test_tornado_of_the_papers_comparison():
    """Ratio (mul + add) / (2 add) at mul 4, add 2, each moved by a fifth alone."""
    nano = load_target("via-nano-2000")
    bars = tornado(latencies([nano], operation_keys([CNN, ADDER])), "via-nano-2000", CNN, ADDER)
    ends = {bar.figure: (bar.ratio_at_low, bar.ratio_at_high) for bar in bars}
    assert ends["mul (fp32)"] == pytest.approx(((3.2 + 2) / 4, (4.8 + 2) / 4))
    assert ends["add (fp32)"] == pytest.approx(((4 + 1.6) / 3.2, (4 + 2.4) / 4.8))
    assert bars[0].figure == "add (fp32)"
    assert [bar.width for bar in bars] == sorted((bar.width for bar in bars), reverse=True)


@given(st.integers(1, 10**12))
def test_a_multiplication_breaks_even_at_the_cost_of_an_addition(sites):
    assert break_even_ratio(mac_layer(sites).counts, adder_layer(sites).counts) == 1


def test_a_counted_absolute_value_moves_the_break_even():
    adder = adder_layer(100, with_abs=True).counts
    assert break_even_ratio(mac_layer(100).counts, adder, abs_over_add=0.5) == 1.5


def test_break_even_needs_a_difference_in_multiplications():
    assert break_even_ratio(ADDER, ADDER) is None
    with pytest.raises(ValueError, match="divide"):
        break_even_ratio(OpCounts.of(mul=1), OpCounts.of(divide=1))


def made(low: float | None, high: float | None) -> Target:
    row = Instruction(
        "fp32_add", Form.SCALAR, 32, 1, "add", 4, low, high, 1, None, None, 1, "", Quality.MODEL, "own"
    )
    return Target("mine", "Mine", (row,))


@pytest.mark.parametrize(
    ("low", "high", "ends"),
    [
        pytest.param(3, 6, (3, 6), id="a-range"),
        pytest.param(4, 4, (3.2, 4.8), id="both-ends-alike"),
        pytest.param(None, None, (3.2, 4.8), id="none"),
    ],
)
def test_a_figure_without_a_range_is_widened_by_a_fifth(low, high, ends):
    table = latencies([made(low, high)], (("add", "fp32"), ("mul", "fp32")))
    assert (table.low[0, 0], table.high[0, 0]) == pytest.approx(ends)
    assert table.nominal.tolist() == [[4, 0]] and table.known.tolist() == [[True, False]]
    assert table.low[0, 1] == table.high[0, 1] == 0


def test_a_spread_of_one_s_own():
    table = latencies([made(None, None)], (("add", "fp32"),), spread=0.5)
    assert (table.low[0, 0], table.high[0, 0]) == (2, 6)


def test_a_thousand_draws_of_seed_0_where_nothing_else_is_said():
    table = latencies([made(3, 6)], (("add", "fp32"),))
    matrix = count_matrix([OpCounts.of(add=1)], table.keys)
    drawn = monte_carlo(table, matrix)
    assert drawn.shape == (1000, 1, 1)
    np.testing.assert_array_equal(drawn, monte_carlo(table, matrix, 1000, 0))
    # Uniform from 3 to 6: the mean of a thousand is within 5 standard errors, 5·√(9/12/1000), of 4.5.
    assert drawn.mean() == pytest.approx(4.5, abs=0.14)


def test_latencies_that_neither_network_has_move_nothing():
    table = latencies([made(3, 6)], (("add", "fp32"), ("mul", "fp32")))
    (swing,) = tornado(table, "mine", OpCounts.of(add=2), OpCounts.of(add=1))
    assert (swing.figure, swing.low, swing.high) == ("add (fp32)", 3, 6)
    assert (swing.ratio_at_low, swing.ratio_at_high, swing.width) == (2, 2, 0)


def test_an_absolute_value_costs_an_addition_where_nothing_else_is_said():
    adder = adder_layer(100, with_abs=True).counts
    assert break_even_ratio(mac_layer(100).counts, adder) == 2
    assert break_even_ratio(mac_layer(100).counts + OpCounts.of(abs=40), adder) == 2 - 0.4
