"""One layer and many layers at once, against an oracle that works everything out the slow way."""

from dataclasses import replace

import numpy as np
import oracle
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from addercost.arithmetic import Arithmetic, OpClass, OpCounts
from addercost.cost.energy import operation_energy
from addercost.cost.engine import Engine
from addercost.cost.estimate import estimate
from addercost.cost.layer_table import (
    FarWeights,
    Intervals,
    LayerCosts,
    layer_costs,
    layer_energies,
    layer_table,
)
from addercost.cost.layers import LayerKind, Parts, kind_of, moved_by
from addercost.cost.lowering import operations_of
from addercost.cost.models import COST_MODELS, cost_model_named
from addercost.cost.target_registry import load_target
from addercost.counts.matrix_products import MatrixProduct
from addercost.counts.runs import NOTHING, LayerRuns, Run
from addercost.errors import ArgumentError
from addercost.hardware import list_hardware, load_energy

TARGETS = [load_target(file.name) for file in list_hardware(kind="cpu")]
ENERGIES = [load_energy(file.name) for file in list_hardware(kind="energy")]
FORMATS = ("fp32", "fp16", "int8", "uint8", "int32", "bool", "bit", "fp64")


class Layer:
    """A layer of a kind, as `estimate` takes it."""

    path = ""

    def __init__(self, kind: LayerKind) -> None:
        self.counts = OpCounts(kind.counts)
        self.arithmetic = kind.arithmetic
        self.mac_sites = kind.mac_sites
        self.bytes = kind.n_bytes
        self.runs = kind.runs


@st.composite
def kinds(draw: st.DrawFn, most: int = 40) -> LayerKind:
    keys = st.tuples(st.sampled_from(OpClass), st.sampled_from(FORMATS))
    counts = OpCounts.from_mapping(draw(st.dictionaries(keys, st.integers(1, most), max_size=7)))
    arithmetic = draw(st.sampled_from([None, *Arithmetic]))
    sites, n_bytes = draw(st.integers(0, most)), draw(st.integers(0, 10**4))
    run = st.builds(Run, st.integers(0, 9), st.integers(0, 10**4))
    return LayerKind(arithmetic, counts.items, sites, n_bytes, LayerRuns(draw(run), draw(run)))


BY_RULES = [name for name, model in COST_MODELS.items() if model.predict is None]
"""The models that cost a layer by its operations."""

few_targets = st.lists(st.sampled_from(TARGETS), min_size=1, max_size=4, unique_by=lambda target: target.name)


@pytest.mark.parametrize("model", BY_RULES)
@settings(max_examples=8)
@given(rows=st.lists(kinds(), min_size=1, max_size=8), targets=few_targets)
def test_cycles_and_completeness_are_the_oracles(model, rows, targets):
    cycles, complete, *_ = layer_costs(layer_table(rows), targets, model)
    for p, target in enumerate(targets):
        expected = [oracle.cost(kind, target, model) for kind in rows]
        one_by_one = estimate([Layer(kind) for kind in rows], target, model)
        assert cycles[:, p] == pytest.approx([c for c, _ in expected], rel=1e-12)
        assert complete[:, p].tolist() == [whole for _, whole in expected]
        assert [layer.cycles for layer in one_by_one.layers] == pytest.approx([c for c, _ in expected])
        assert [layer.complete for layer in one_by_one.layers] == [whole for _, whole in expected]


@pytest.mark.exhaustive
@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
@settings(max_examples=8)
@given(rows=st.lists(kinds(), min_size=1, max_size=8))
def test_on_every_processor(target, rows):
    for model in BY_RULES:
        cycles, complete, *_ = layer_costs(layer_table(rows), [target], model)
        expected = [oracle.cost(kind, target, model) for kind in rows]
        assert cycles[:, 0] == pytest.approx([c for c, _ in expected], rel=1e-12)
        assert complete[:, 0].tolist() == [whole for _, whole in expected]


@pytest.mark.parametrize("model", BY_RULES)
@settings(max_examples=15)
@given(kind=kinds(), times=st.sampled_from([10**3, 10**9]), target=st.sampled_from(TARGETS))
def test_so_many_times_the_operations_take_so_many_times_as_long(model, kind, times, target):
    counts = tuple((op_class, f, n * times) for op_class, f, n in kind.counts)
    runs = LayerRuns(*(Run(run.calls * times, run.n_bytes * times) for run in kind.runs))
    larger = LayerKind(kind.arithmetic, counts, kind.mac_sites * times, kind.n_bytes * times, runs)
    (one, other), *_ = layer_costs(layer_table([kind, larger]), [target], model)
    assert other[0] == pytest.approx(one[0] * times)


@settings(max_examples=20)
@given(rows=st.lists(kinds(), min_size=1, max_size=8))
def test_joules_are_the_sum_over_operations(rows):
    joules, complete = layer_energies(layer_table(rows), ENERGIES)
    for e, energy in enumerate(ENERGIES):
        for row, kind in enumerate(rows):
            charges = [(operation_energy(energy, c, f), n) for c, f, n in kind.counts]
            picojoules = sum(charge.energy_pj * n for charge, n in charges if charge)
            assert joules[row, e] == pytest.approx(picojoules * 1e-12)
            assert complete[row, e] == all(charge for charge, _ in charges)


def test_nothing_to_cost_costs_nothing():
    table = layer_table([LayerKind(None, (), 0, 0, NOTHING)])
    for model in BY_RULES:
        cycles, *_ = layer_costs(table, TARGETS[:3], model)
        assert cycles.tolist() == [[0, 0, 0]]
    assert layer_costs(table, [], "throughput")[0].shape == (1, 0)
    assert layer_costs(layer_table([]), TARGETS[:2], "roofline")[0].shape == (0, 2)


def test_bytes_are_one_more_bound_of_a_roofline():
    """1,000 bytes at 2 bytes a second and 3 cycles a second take 1,500 cycles; no operation takes any."""
    slow = replace(TARGETS[0], clock_hz=3.0, memory_bandwidth_bytes_per_s=2.0)
    table = layer_table([LayerKind(None, (), 0, 1000)])
    assert layer_costs(table, [slow], "roofline")[0].tolist() == [[1500]]
    assert layer_costs(table, [slow], "throughput")[0].tolist() == [[0]]


@pytest.mark.parametrize("mode", ["eager", "fused"])
def test_layers_whose_kernels_are_not_known_are_a_lower_bound(mode):
    fast = replace(TARGETS[0], clock_hz=3.0, part_bandwidth_bytes_per_s=2.0)
    known, unknown = LayerKind(None, (), 0, 1000, NOTHING), LayerKind(None, (), 0, 1000)
    assert layer_costs(layer_table([known]), [fast], mode)[1].tolist() == [[True]]
    assert layer_costs(layer_table([unknown]), [fast], mode)[1].tolist() == [[False]]
    (missing,) = estimate([Layer(unknown)], fast, mode).missing
    assert "counts are older" in missing.figure


def test_a_layer_of_its_counts_alone_has_no_sites_and_moves_nothing():
    """A caller of the library may cost a layer that has no other attributes."""

    class Counted:
        path, counts = "layer", OpCounts.of(add=3)

    kind = kind_of(Counted(), Parts(products=True, kernels=True))
    assert kind == LayerKind(None, OpCounts.of(add=3).items, 0, 0, None, None, ())


def test_an_unknown_model_is_refused():
    with pytest.raises(ArgumentError, match="unknown cost model"):
        layer_costs(layer_table([]), [], "rooflne")


def test_counts_stay_whole_beyond_the_precision_of_floats():
    """2⁵³ + 1 is no float64, and neither is three times as much."""
    kind = LayerKind(None, ((OpClass.ADD, "fp32", 2**53 + 1), (OpClass.ADD, "int8", 5)), 0, 0)
    table = layer_table([kind])
    assert table.per_class()[OpClass.ADD].tolist() == [2**53 + 6]
    assert table.counts.dtype == np.int64
    nano = load_target("via-nano-2000")
    kind = LayerKind(None, ((OpClass.ADD, "fp32", 2**53 + 1),), 0, 0)
    assert estimate([Layer(kind)], nano, "latency-sum").cycles == 2 * (2**53 + 1)


def test_far_weights_add_by_the_size_of_the_network_that_a_layer_is_in():
    """Two kinds with 1 and 3 bytes of weights. A network of the first twice has 2 bytes, of which 2 / (2 + 2)
    are far: 2·10 + ½·2·4 cycles; one of both has 4: 10 + 20 + ⅔·(4 + 6)."""

    def column(*values):
        return np.array(values, dtype=float)[:, None]

    far = FarWeights(column(4, 6), column(2, 3), column(8, 12), np.array([1.0, 3.0]), np.array([2.0]))
    intervals = Intervals(column(5, 10), column(20, 40), far)
    costs = LayerCosts(column(10, 20), np.ones((2, 1), bool), intervals)
    times = np.array([[2.0, 0.0], [1.0, 1.0]])
    found = costs.networks(times)
    assert found.cycles.ravel() == pytest.approx([24, 30 + 20 / 3])
    assert found.low_s.ravel() == pytest.approx([12, 15 + 10 / 3])
    assert found.high_s.ravel() == pytest.approx([48, 60 + 40 / 3])
    plain = costs._replace(intervals=None).networks(times)
    assert plain.cycles.ravel().tolist() == [20, 30] and plain.low_s is None


def test_on_a_gpu_each_layer_has_its_own_waves_and_bytes():
    """What each takes is what the engine says of it alone."""
    gpu = load_target("rtx-3090")
    products = [MatrixProduct(100, 64, 300, 6400), MatrixProduct(4096, 512, 4096, 4096 * 512), None]
    rows = [
        LayerKind(
            Arithmetic.MAC,
            OpCounts.of(mul=sites, add=sites).items,
            sites,
            1000,
            products=None if product is None else (product,),
        )
        for sites, product in ((10**6, products[0]), (10**10, products[1]), (10**7, products[2]))
    ]
    for model in ("throughput", "roofline"):
        engine = Engine(gpu, cost_model_named(model))
        alone = [
            engine.cost(engine.lower(operations_of(kind)), moved_by(kind, gpu.multiprocessors)).cycles
            for kind in rows
        ]
        cycles, *_ = layer_costs(layer_table(rows), [gpu], model)
        assert cycles[:, 0] == pytest.approx(alone, rel=1e-12)
    assert moved_by(rows[0], gpu.multiprocessors).waves > 1


@pytest.mark.parametrize("memories", [(), ("dram",), ("sram 32 KiB", "dram")], ids=len)
def test_joules_of_memory_are_those_of_each_byte_at_each_level(memories):
    """An access of 8 bytes takes 20 pJ, in DRAM 1,950 in the middle; an addition takes 0.9."""
    kind = LayerKind(None, ((OpClass.ADD, "fp32", 10),), 0, 80)
    joules, complete = layer_energies(layer_table([kind]), [load_energy("45nm")], memories)
    access = {"dram": 1950, "sram 32 KiB": 20}
    assert joules.tolist() == [[pytest.approx((9 + 10 * sum(access[name] for name in memories)) * 1e-12)]]
    assert complete.all()


def test_what_a_table_lacks_makes_its_column_incomplete_for_the_layers_that_need_it():
    rows = [LayerKind(None, ((OpClass.ADD, f, 1),), 0, 0) for f in ("fp32", "bf16")]
    _, complete = layer_energies(layer_table(rows), [load_energy("7nm"), load_energy("45nm")])
    assert complete[:, 0].tolist() == [True, False]
