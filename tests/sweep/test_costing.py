"""Array costing is `estimate` and `estimate_energy`, row by row."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from addercost.arithmetic import Arithmetic, OpClass, OpCounts
from addercost.cost.energy import estimate_energy
from addercost.cost.estimate import COST_MODELS, estimate
from addercost.hardware import list_hardware, load_cpu, load_energy
from addercost.sweep.costing import layer_cycles, layer_energies, layer_table, occurrences
from addercost.sweep.tally import LayerKind, Tally

CPUS = [load_cpu(file.name) for file in list_hardware(kind="cpu")]
ENERGIES = [load_energy(file.name) for file in list_hardware(kind="energy")]
FORMATS = ("fp32", "fp16", "int8", "int32", "bool", "bit", "fp64")

counts = st.dictionaries(
    st.tuples(st.sampled_from(OpClass), st.sampled_from(FORMATS)),
    st.integers(1, 10**9),
    min_size=0,
    max_size=7,
)


@st.composite
def kinds(draw: st.DrawFn) -> LayerKind:
    arithmetic = draw(st.sampled_from([None, *Arithmetic]))
    found = OpCounts.from_mapping(draw(counts))
    sites = draw(st.sampled_from([0, 1, 1000, 10**8]))
    return LayerKind(arithmetic and arithmetic.value, found.items, sites, draw(st.integers(0, 10**9)))


def as_layer(kind: LayerKind) -> SimpleNamespace:
    return SimpleNamespace(
        path="",
        counts=OpCounts(kind.counts),
        arithmetic=kind.arithmetic and Arithmetic(kind.arithmetic),
        mac_sites=kind.mac_sites,
        bytes=kind.n_bytes,
    )


@pytest.mark.parametrize("model", COST_MODELS)
@settings(max_examples=25, deadline=None)
@given(rows=st.lists(kinds(), min_size=1, max_size=8), data=st.data())
def test_cycles_are_those_of_estimate(model: str, rows: list[LayerKind], data: st.DataObject) -> None:
    cpus = data.draw(st.lists(st.sampled_from(CPUS), min_size=1, max_size=6, unique_by=lambda cpu: cpu.name))
    cycles, whole = layer_cycles(layer_table(rows), cpus, model)
    for p, cpu in enumerate(cpus):
        expected = estimate([as_layer(kind) for kind in rows], cpu, model)
        assert cycles[:, p] == pytest.approx([layer.cycles for layer in expected.layers], rel=1e-12)
        assert whole[:, p].tolist() == [layer.complete for layer in expected.layers]


@settings(max_examples=25, deadline=None)
@given(rows=st.lists(kinds(), min_size=1, max_size=8))
def test_joules_are_those_of_estimate_energy(rows: list[LayerKind]) -> None:
    joules, whole = layer_energies(layer_table(rows), ENERGIES)
    for e, energy in enumerate(ENERGIES):
        expected = estimate_energy([as_layer(kind) for kind in rows], energy)
        assert joules[:, e] == pytest.approx([layer.total_j for layer in expected.layers], rel=1e-12)
        assert whole[:, e].tolist() == [layer.complete for layer in expected.layers]


def test_nothing_to_cost_costs_nothing() -> None:
    table = layer_table([LayerKind(None, (), 0, 0)])
    for model in COST_MODELS:
        cycles, _ = layer_cycles(table, CPUS[:3], model)
        assert cycles.tolist() == [[0, 0, 0]]
    assert layer_cycles(table, [], "throughput")[0].shape == (1, 0)


def test_occurrences_place_each_count() -> None:
    """Architecture 0 has kind 2 five times and kind 0 once; 1 has none; 2 has kind 1 twice."""
    tallies = [Tally((2, 0), (5, 1)), Tally((), ()), Tally((1,), (2,))]
    assert occurrences(tallies, 3).toarray().tolist() == [[1, 0, 5], [0, 0, 0], [0, 2, 0]]


def test_counts_stay_whole_beyond_the_precision_of_floats() -> None:
    """2⁵³ + 1 is no float64."""
    kind = LayerKind(None, ((OpClass.ADD, "fp32", 2**53 + 1),), 0, 0)
    table = layer_table([kind])
    assert (occurrences([Tally((0,), (3,))], 1) @ table.per_class()[OpClass.ADD]).tolist() == [
        3 * (2**53 + 1)
    ]
    assert table.counts.dtype == np.int64
