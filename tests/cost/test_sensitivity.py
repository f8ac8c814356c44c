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
from addercost.cost.target_registry import load_target
from addercost.hardware import list_hardware

TARGETS = [load_target(file.name) for file in list_hardware(kind="cpu")]
CNN = OpCounts.of(mul=435_000, add=435_000)
ADDER = OpCounts.of(add=870_000)
NETWORKS = [CNN, ADDER, OpCounts.of(mul=100, add=200, compare=50, divide=10), OpCounts.of("int8", mul=7)]
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
