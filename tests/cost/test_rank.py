"""Which processors favour additions, by which cost model."""

import pytest
from counted_layers import adder_layer, mac_layer, xnor_layer

from addercost.cost.rank import rank_processors
from addercost.cost.target_registry import load_target
from addercost.errors import ArgumentError
from addercost.hardware import list_hardware

TARGETS = [load_target(file.name) for file in list_hardware(kind="cpu")]
COUNTED = {"mac": [mac_layer(6400)], "adder": [adder_layer(6400, with_abs=True)], "xnor": [xnor_layer(6400)]}


def test_every_processor_is_ranked_once_under_each_model():
    rows = rank_processors(COUNTED, TARGETS, models=("latency-sum", "throughput"))
    for model, ranked in (("latency-sum", rows[: len(TARGETS)]), ("throughput", rows[len(TARGETS) :])):
        assert {row.model for row in ranked} == {model}
        assert sorted(row.hardware for row in ranked) == sorted(target.name for target in TARGETS)


@pytest.mark.parametrize("model", ["latency-sum", "throughput"])
def test_rows_fall_from_the_largest_advantage_and_end_with_the_unknown(model):
    advantages = [row.advantage("adder") for row in rank_processors(COUNTED, TARGETS, models=[model])]
    known = [a for a in advantages if a is not None]
    assert known == sorted(known, reverse=True)
    assert advantages == known + [None] * (len(advantages) - len(known))


def test_one_processor_runs_an_fp32_adder_layer_faster_than_a_convolution_by_throughput():
    """All others multiply and add a vector at least as fast as they take a maximum and add. The table of the
    C906 has no fused multiply-add: a product takes 5 cycles, a maximum and an addition 4 each."""
    rows = rank_processors(COUNTED, TARGETS, models=["throughput"])
    faster = {row.hardware: row.advantage("adder") for row in rows if (row.advantage("adder") or 0) > 1}
    assert faster == {"thead-c906": pytest.approx((5 + 4) / (4 + 4))}


def test_the_papers_processor():
    nano = [load_target("via-nano-2000")]
    by_model = {row.model: row.advantage("adder") for row in rank_processors(COUNTED, nano)}
    # Latencies: (4 + 2) / (2 + 2 + 1); vectors: 1 / 2.
    assert (by_model["latency-sum"], by_model["throughput"]) == (6 / 5, pytest.approx(1 / 2))
    # These need a memory bandwidth or timed kernels.
    assert by_model["roofline"] is by_model["calibrated"] is None


def test_bytes_turn_the_ranking_round():
    """u8 by sums of absolute differences against fp32 products, on 256-bit AVX2 of Haswell."""
    counted = {"mac": [mac_layer(6400)], "adder": [adder_layer(6400, "uint8")]}
    (row,) = rank_processors(counted, [load_target("intel-haswell")], models=["throughput"])
    # 8 products in half a cycle; 32 differences in one (psadbw on port 0, paddd beside it).
    assert row.advantage("adder") == pytest.approx((0.5 / 8) / (1 / 32))


def test_unknown_alternative():
    with pytest.raises(ArgumentError, match="unknown alternative"):
        rank_processors(COUNTED, TARGETS, alternative="aded")
