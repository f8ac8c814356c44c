"""The paper's rule: Σ count × latency."""

from functools import partial

import pytest
from counted_layers import Layer, adder_layer, mac_layer
from hypothesis import given
from hypothesis import strategies as st

from addercost.arithmetic import OpCounts
from addercost.cost import estimate as by_models
from addercost.errors import ArgumentError, CheckFailedError
from addercost.hardware import list_hardware, load_cpu

NANO = load_cpu("via-nano-2000")
estimate = partial(by_models.estimate, model="latency-sum")


def test_the_published_comparison():
    """Chen et al., CVPR 2020, section 4: 435K mul at 4 and 435K add at 2 cycles against 870K add at 2."""
    cnn = estimate([mac_layer(435_000)], NANO)
    adder = estimate([adder_layer(435_000)], NANO)
    assert cnn.cycles == 435_000 * 4 + 435_000 * 2 == 2_610_000
    assert adder.cycles == 870_000 * 2 == 1_740_000
    assert type(cnn.cycles) is int
    assert cnn.complete and adder.complete
    assert cnn.missing == ()


@given(st.integers(1, 10**15))
def test_the_ratio_is_one_and_a_half_whatever_the_count(sites):
    cnn, adder = estimate([mac_layer(sites)], NANO), estimate([adder_layer(sites)], NANO)
    assert 2 * cnn.cycles == 3 * adder.cycles


def test_an_absolute_value_is_charged_where_it_is_counted():
    without = estimate([adder_layer(1000)], NANO).cycles
    # FABS takes one cycle.
    assert estimate([adder_layer(1000, with_abs=True)], NANO).cycles == without + 1000


def test_seconds_are_cycles_over_the_base_clock():
    cost = estimate([mac_layer(435_000)], NANO)
    assert cost.seconds == pytest.approx(2_610_000 / 1.6e9)
    assert any("1.6 GHz" in assumption for assumption in cost.assumptions)


def test_no_clock_no_seconds():
    assert estimate([mac_layer(10)], load_cpu("neoverse-n2")).seconds is None


def test_the_form_behind_4_and_2_is_named():
    assert any("x87" in assumption for assumption in estimate([mac_layer(10)], NANO).assumptions)


def test_scalar_sse_on_the_same_processor():
    # MULSS 3, ADDSS 2 to 3 (2.5 in the table): the ratio is (3 + 2.5) / (2.5 + 2.5), not 1.5.
    cnn = estimate([mac_layer(1000)], NANO, lowering="scalar")
    assert cnn.cycles == 1000 * 3 + 1000 * 2.5


@pytest.mark.parametrize(
    ("name", "counts", "cycles"),
    [
        # Latencies of the LLVM 22 scheduling models, scalar forms.
        pytest.param(
            "intel-haswell", OpCounts.of(mul=10, add=10), 10 * 5 + 10 * 3, id="haswell-mulss-5-addss-3"
        ),
        pytest.param("amd-zen4", OpCounts.of("fp64", mul=10), 10 * 3, id="zen4-mulsd-3"),
        pytest.param("neoverse-n2", OpCounts.of("fp16", add=10), 10 * 2, id="n2-fadd-h-2"),
        pytest.param(
            "intel-haswell", OpCounts.of("int8", mul=10, add=10), 10 * 3 + 10 * 1, id="int8-in-32-bit"
        ),
        pytest.param(
            "intel-haswell", OpCounts.of("bool", xnor=10, popcount=10), 10 + 10, id="xnor-as-xor-and-add"
        ),
        pytest.param("intel-haswell", OpCounts.of(compare=10), 10 * 3, id="compare-as-maxss"),
        pytest.param("intel-haswell", OpCounts.of(sqrt=10), 10 * 13, id="sqrt-as-divss"),
        pytest.param("amd-zen4", OpCounts.of(), 0, id="nothing"),
    ],
)
def test_other_processors(name, counts, cycles):
    cost = estimate([Layer(counts)], load_cpu(name))
    assert cost.cycles == cycles
    assert cost.complete


def test_what_stood_in_is_said():
    assumptions = estimate([Layer(OpCounts.of(sqrt=1))], load_cpu("intel-haswell")).assumptions
    assert "sqrt (fp32): a square root costs a division" in assumptions


@pytest.mark.parametrize("op", ["transcendental", "divide"])
def test_a_missing_figure_makes_a_lower_bound_and_is_named(op):
    layers = [Layer(OpCounts.of(mul=3), path="a"), Layer(OpCounts.of(mul=1, **{op: 7}), path="b")]
    cost = estimate(layers, NANO)
    assert cost.cycles == 4 * 4
    assert not cost.complete
    (missing,) = cost.missing
    assert (missing.figure, missing.hardware, missing.count) == (f"{op} (fp32)", "via-nano-2000", 7)
    assert [layer.complete for layer in cost.layers] == [True, False]
    with pytest.raises(
        CheckFailedError, match=rf"via-nano-2000 has no figure for {op} \(fp32\): 7 not charged"
    ):
        estimate(layers, NANO, strict=True)


def test_an_unknown_format_is_missing_not_free():
    assert not estimate([Layer(OpCounts.of("complex64", mul=1))], NANO).complete


@pytest.mark.parametrize("name", [file.name for file in list_hardware(kind="cpu")])
def test_every_processor_is_complete_or_says_what_is_missing(name):
    cost = estimate([mac_layer(1000), Layer(OpCounts.of(compare=10, abs=10))], load_cpu(name))
    assert cost.complete == (not cost.missing)
    if cost.complete:
        # A cycle at least for each operation: no latency is below one cycle.
        assert cost.cycles >= 2020


@given(st.lists(st.builds(lambda n: mac_layer(n), st.integers(0, 10**9)), max_size=8))
def test_a_total_is_the_sum_of_its_layers(layers):
    cost = estimate(layers, NANO)
    assert cost.cycles == sum(layer.cycles for layer in cost.layers)
    assert len(cost.layers) == len(layers)


def test_a_model_is_taken_as_well_as_its_layers():
    class Model:
        layers = (mac_layer(435_000),)

    assert estimate(Model(), NANO).cycles == 2_610_000


@pytest.mark.parametrize(
    "names", [{"model": "latency_sum"}, {"lowering": "vector"}], ids=["model", "lowering"]
)
def test_unknown_names(names):
    with pytest.raises(ArgumentError, match="unknown"):
        estimate([mac_layer(1)], NANO, **names)
