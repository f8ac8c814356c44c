"""Arrays: closed forms against a simulation of elements and cycles, energy and area against derivations."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from addercost.arithmetic import Arithmetic
from addercost.cost.accelerator.dataflow import passes, systolic_cycles, vector_cycles
from addercost.cost.accelerator.element import element_of
from addercost.cost.accelerator.estimate import (
    LEAKAGE,
    Mapper,
    doubtful_figures,
    equal_area,
    estimate_accelerator,
)
from addercost.cost.accelerator.product import ELEMENTS, product_cost
from addercost.cost.columns import ONE_LAYER
from addercost.counts.matrix_products import MatrixProduct
from addercost.errors import ArgumentError
from addercost.hardware import list_hardware, load_accelerator, load_energy

NM45 = load_energy("45nm")
TPU = load_accelerator("tpu-like")
RESNET18_LAYER = MatrixProduct(56 * 56, 64 * 3 * 3, 64, 64 * 56 * 56)

SCALE_SIM = [
    # dataflow, r, c, K, N, T, compute cycles: runs of SCALE-Sim 3.0.0 (MIT), layers as its users write them.
    ("weight-stationary", 8, 16, 144, 32, 64, 3383),
    ("weight-stationary", 8, 16, 45, 19, 49, 947),
    ("weight-stationary", 8, 16, 9, 1, 36, 131),
    ("output-stationary", 8, 16, 144, 32, 64, 2655),
    ("output-stationary", 8, 16, 45, 19, 49, 937),
    ("output-stationary", 8, 16, 54, 20, 25, 607),
]


@pytest.mark.parametrize(("dataflow", "r", "c", "k", "n", "t", "cycles"), SCALE_SIM)
def test_cycles_of_a_published_simulator(dataflow, r, c, k, n, t, cycles):
    assert systolic_cycles(dataflow, t, k, n, r, c) == cycles


def simulated_fold(dataflow, t, k, n, r, c):
    """Cycles of one fold, by when each element of an r × c array has its last operand.

    A stationary operand is shifted in row by row, r cycles. A moving operand enters row i with a delay of i
    and reaches column j after j more. Sums that move leave at the lower edge.
    """
    if dataflow == "output-stationary":
        # Element (i, j) gets term m in cycle m + i + j.
        return 1 + max(m + i + j for m in range(k) for i in range(r) for j in range(c))
    streamed = t if dataflow == "weight-stationary" else n
    # Item m meets row i, column j in cycle r + m + i + j; the sum of column j leaves below the last row,
    # one cycle after it was added there.
    leaving = [r + m + (r - 1) + j + 1 for m in range(streamed) for j in range(c)]
    return max(leaving)


def simulated(dataflow, t, k, n, r, c):
    """(cycles, input reads, filter reads, output writes), fold after fold, element after element."""
    over_rows, over_columns, inner = {
        "weight-stationary": (k, n, t),
        "output-stationary": (t, n, k),
        "input-stationary": (k, t, n),
    }[dataflow]
    cycles, reads, filters, writes = 0, 0, 0, 0
    for row in range(0, over_rows, r):
        for column in range(0, over_columns, c):
            high, wide = min(r, over_rows - row), min(c, over_columns - column)
            cycles += simulated_fold(dataflow, t, k, n, r, c)
            if dataflow == "weight-stationary":
                reads, filters, writes = reads + inner * high, filters + high * wide, writes + inner * wide
            elif dataflow == "output-stationary":
                reads, filters, writes = reads + high * inner, filters + wide * inner, writes + high * wide
            else:
                reads, filters, writes = reads + high * wide, filters + high * inner, writes + inner * wide
    # The simulator's figure is the number of the last cycle, counted from 0.
    return cycles - 1, reads, filters, writes


@settings(max_examples=150)
@given(
    dataflow=st.sampled_from(["weight-stationary", "output-stationary", "input-stationary"]),
    sizes=st.tuples(*[st.integers(1, 12)] * 3),
    sides=st.tuples(*[st.integers(1, 6)] * 2),
)
def test_closed_forms_are_the_simulation(dataflow, sizes, sides):
    (t, k, n), (r, c) = sizes, sides
    moved = passes(dataflow, t, k, n, r, c, ONE_LAYER)
    cycles = systolic_cycles(dataflow, t, k, n, r, c)
    found = (cycles, moved.input_reads, moved.filter_reads, moved.output_writes)
    assert found == simulated(dataflow, t, k, n, r, c)
    assert moved.output_writes - moved.output_reads == t * n


@pytest.mark.parametrize(
    ("formats", "ratio"),
    [
        # Horowitz: mul 3.7, add 0.9 pJ (fp32); mul 0.2, add 0.03 (int8), 0.1 (int32).
        pytest.param(("fp32", "fp32"), 4.6 / 1.8, id="fp32-2.56"),
        pytest.param(("int8", "int32"), 0.3 / 0.13, id="int8-2.31"),
    ],
)
def test_elements_without_memory(formats, ratio):
    mac, adder = (element_of(a, *formats, NM45) for a in (Arithmetic.MAC, Arithmetic.ADDER))
    assert mac.energy_pj / adder.energy_pj == pytest.approx(ratio)


def cost(arithmetic, accelerator=TPU, product=RESNET18_LAYER):
    return estimate_accelerator([("layer", [replace(product, arithmetic=arithmetic)])], accelerator, NM45)


def test_with_memory_the_levels_are_derived_and_the_ratio_shrinks():
    mac, adder = cost(Arithmetic.MAC), cost(Arithmetic.ADDER)
    t, k, n = 3136, 576, 64
    folds = 3  # of 576 terms on 256 rows; 64 filters fit the columns
    expected = {
        ELEMENTS: t * k * n * 0.3,
        "registers": t * k * n * (1 + 1 + 2 * 4) * 0.072,
        # Windows from the buffer, which is filled once with the image.
        "unified buffer": (t * k + 64 * t) * 12.5,
        # Three partial sums written, two read again, the result read once.
        "accumulators": (t * n * (folds + folds - 1) * 4 + t * n) * 12.5,
        "dram": (64 * t + k * n + t * n) * 243.75,
    }
    assert mac.energy_j == pytest.approx({level: pj * 1e-12 for level, pj in expected.items()})
    assert mac.total_j - adder.total_j == pytest.approx(t * k * n * (0.3 - 0.13) * 1e-12)
    assert 1 < mac.total_j / adder.total_j < 0.3 / 0.13


def with_accumulators(size_bytes):
    """The array with so many bytes of accumulators."""
    return replace(
        TPU,
        memories=tuple(
            replace(m, size_bytes=size_bytes) if m.memory == "accumulators" else m for m in TPU.memories
        ),
    )


@pytest.mark.parametrize(
    ("size_bytes", "chunks", "spilled"),
    [
        pytest.param(3136 * 64 * 4, 1, False, id="all-sums-fit"),
        pytest.param(3136 * 64 * 4 - 1, 2, False, id="half-of-them-fit"),
        # A chunk has 256 + 256 pixels at least.
        pytest.param(512 * 64 * 4 - 1, 1, True, id="no-chunk-fits"),
    ],
)
def test_sums_that_do_not_fit_are_cut_into_chunks_or_pass_through_dram(size_bytes, chunks, spilled):
    t, k, n = 3136, 576, 64  # all filters are in one fold of columns, the terms in three of rows
    found = cost(Arithmetic.MAC, with_accumulators(size_bytes))
    # Filters, which have no buffer, come once a chunk. Two of three partial sums are written and read again.
    sums = 2 * (3 - 1) * t * n * 4 if spilled else 0
    assert found.energy_j["dram"] == pytest.approx((64 * t + chunks * k * n + t * n + sums) * 243.75e-12)
    assert found.compute_cycles == 3 * (t + chunks * (2 * 256 + 256 - 2)) - 1


def test_inputs_come_again_for_each_pass_where_their_buffer_is_too_small():
    wide = replace(RESNET18_LAYER, filters=300)  # two folds of 256 columns
    inputs = 64 * 3136
    for size, times in ((inputs, 1), (inputs - 1, 2)):
        small = tuple(
            replace(m, size_bytes=size) if m.memory == "unified buffer" else m for m in TPU.memories
        )
        found = cost(Arithmetic.MAC, replace(TPU, memories=small), wide)
        dram = inputs * times + 576 * 300 + 3136 * 300
        assert found.energy_j["dram"] == pytest.approx(dram * 243.75e-12)


def test_the_slowest_of_array_and_memories_decides():
    fast = cost(Arithmetic.MAC)
    slow = replace(TPU, memories=tuple(replace(m, bytes_per_cycle=0.5) for m in TPU.memories))
    stalled = cost(Arithmetic.MAC, slow)
    assert fast.compute_cycles == stalled.compute_cycles < stalled.cycles
    # The registers have a limit there too, and move most: 10 bytes a site.
    assert stalled.cycles == pytest.approx(RESNET18_LAYER.sites * 10 / 0.5)


def test_an_array_larger_than_the_layer_is_mostly_idle():
    tiny = MatrixProduct(1, 2, 3, 2)
    found = cost(Arithmetic.MAC, product=tiny)
    assert found.compute_cycles == 1 + 2 * 256 + 256 - 2 - 1
    assert found.utilization == pytest.approx(6 / (found.cycles * 256 * 256))


def test_an_array_without_work_uses_nothing():
    assert estimate_accelerator([], TPU, NM45).utilization == 0


@pytest.mark.parametrize("name", [file.name for file in list_hardware(kind="accelerator")])
def test_equal_area_never_exceeds_the_area_and_wastes_little(name):
    accelerator = load_accelerator(name)
    formats = (accelerator.number_format, accelerator.accumulator_format, NM45)
    for kind in Arithmetic:
        mac, other = element_of(Arithmetic.MAC, *formats), element_of(kind, *formats)
        if other.area_um2 is None:
            with pytest.raises(ArgumentError, match="no figure for the area of"):
                equal_area(accelerator, NM45, [kind])
            continue
        bigger = equal_area(accelerator, NM45, [kind])
        before = accelerator.rows * accelerator.columns * mac.area_um2
        after = bigger.rows * bigger.columns * other.area_um2
        assert after <= before * (1 + 1e-12)
        assert after + bigger.rows * other.area_um2 > before


def test_an_array_for_two_kinds_of_elements_may_have_one_column():
    """A row of two int8 multipliers, 2·419 µm², has place for one pair of 419 and 171.25 µm²."""
    row = replace(TPU, rows=1, columns=2)
    both = equal_area(row, NM45, [Arithmetic.MAC, Arithmetic.ADDER])
    assert (both.rows, both.columns) == (1, 1)


def test_the_area_of_an_int8_adder_element():
    # mul int8 282 and add int32 137 µm² (Horowitz); an 8-bit adder is a quarter of a 32-bit one.
    mac = element_of(Arithmetic.MAC, "int8", "int32", NM45)
    adder = element_of(Arithmetic.ADDER, "int8", "int32", NM45)
    assert (mac.area_um2, adder.area_um2) == (282 + 137, 137 / 4 + 137)


def test_a_missing_figure_is_named_and_makes_a_lower_bound():
    halves = replace(TPU, number_format="fp16", accumulator_format="fp32")
    found = estimate_accelerator([("layer", [RESNET18_LAYER])], halves, load_energy("7nm"))
    assert not found.complete
    assert found.missing == ("the energy of mul (fp16)",)
    with pytest.raises(ArgumentError, match="no figure for the area of"):
        equal_area(TPU, load_energy("7nm"), [Arithmetic.ADDER])


def test_leakage_is_named_where_there_is_some():
    layers = [("layer", [RESNET18_LAYER])]
    leaking = estimate_accelerator(layers, TPU, NM45, leakage_w=0.5)
    assert "500 mW of leakage, whatever the number of elements" in leaking.assumptions
    assert not any("leakage" in text for text in estimate_accelerator(layers, TPU, NM45).assumptions)


def test_sites_without_a_product_make_a_lower_bound():
    assert not estimate_accelerator([("layer", [RESNET18_LAYER])], TPU, NM45, unplaced_sites=7).complete


MOVES = {"weight-stationary": 0, "output-stationary": 1, "input-stationary": 2}
"""Which of T, K and N moves through a fold."""


@settings(max_examples=60)
@given(
    dataflow=st.sampled_from(list(MOVES)),
    sizes=st.tuples(*[st.integers(1, 9)] * 3),
    sides=st.tuples(*[st.integers(1, 5)] * 2),
    chunks=st.integers(1, 3),
)
def test_what_comes_in_chunks_is_so_many_products_after_each_other(dataflow, sizes, sides, chunks):
    """Of each the dimension that moves is a part; what they read, write and take adds up."""
    r, c = sides
    whole = list(sizes)
    whole[MOVES[dataflow]] *= chunks
    moved = passes(dataflow, *whole, r, c, ONE_LAYER, chunks)
    parts = [simulated(dataflow, *sizes, r, c) for _ in range(chunks)]
    reads = [sum(part[i] for part in parts) for i in (1, 2, 3)]
    assert [moved.input_reads, moved.filter_reads, moved.output_writes] == reads
    t, k, n = whole
    assert moved.output_reads == moved.output_writes - t * n
    assert (moved.input_passes * t * k, moved.filter_passes * k * n) == (
        moved.input_reads,
        moved.filter_reads,
    )
    assert systolic_cycles(dataflow, *whole, r, c, chunks) + 1 == sum(part[0] + 1 for part in parts)


@pytest.mark.parametrize(
    ("dataflow", "sizes", "live"),
    [
        # Seven pixels wait for the next terms in each of the columns that have a filter.
        pytest.param("weight-stationary", (7, 4, 5), 7 * 3, id="weights"),
        pytest.param("weight-stationary", (7, 4, 2), 7 * 2, id="fewer-filters-than-columns"),
        pytest.param("input-stationary", (7, 4, 5), 5 * 3, id="inputs"),
        pytest.param("input-stationary", (2, 4, 5), 5 * 2, id="fewer-pixels-than-columns"),
        pytest.param("output-stationary", (7, 4, 5), 0, id="sums-stay-in-the-array"),
    ],
)
def test_sums_that_are_under_way(dataflow, sizes, live):
    assert passes(dataflow, *sizes, 2, 3, ONE_LAYER).live_outputs == live


def test_a_vector_takes_a_cycle_for_each_term_of_its_lanes_filters():
    """7 pixels, 4 terms and 10 filters on 4 lanes: three groups of filters."""
    assert vector_cycles(7, 4, 10, 4) == 7 * 4 * 3
    one_row = replace(TPU, structure="vector", rows=1, columns=4)
    found = cost(Arithmetic.MAC, one_row, MatrixProduct(7, 4, 10, 28, repeats=2))
    assert found.compute_cycles == 2 * 7 * 4 * 3


def test_a_network_is_the_sum_of_its_layers_and_of_what_it_leaks():
    first, second = RESNET18_LAYER, replace(RESNET18_LAYER, filters=128, arithmetic=Arithmetic.ADDER)
    alone = [estimate_accelerator([("a", [one])], TPU, NM45) for one in (first, second)]
    both = estimate_accelerator([("a", [first]), ("b", [second, first])], TPU, NM45, leakage_w=0.25)
    assert both.cycles == pytest.approx(2 * alone[0].cycles + alone[1].cycles)
    assert both.compute_cycles == pytest.approx(2 * alone[0].compute_cycles + alone[1].compute_cycles)
    assert [layer.path for layer in both.layers] == ["a", "b"]
    assert [layer.cycles for layer in both.layers] == pytest.approx(
        [alone[0].cycles, alone[0].cycles + alone[1].cycles]
    )
    without = 2 * alone[0].total_j + alone[1].total_j
    assert [layer.energy_j for layer in both.layers] == pytest.approx(
        [alone[0].total_j, alone[0].total_j + alone[1].total_j]
    )
    assert both.seconds == pytest.approx(both.cycles / TPU.clock_hz)
    assert both.energy_j[LEAKAGE] == pytest.approx(0.25 * both.seconds)
    assert both.total_j == pytest.approx(without + 0.25 * both.seconds)
    sites = 2 * first.sites + second.sites
    assert both.utilization == pytest.approx(sites / (both.cycles * TPU.rows * TPU.columns))
    assert "elements for mac and adder beside each other, of which one kind works" in both.assumptions
    assert not any("beside each other" in text for text in alone[0].assumptions)
    assert LEAKAGE not in alone[0].energy_j


def test_what_is_left_out_and_who_mapped_is_said():
    mapper = Mapper("hand", product_cost, ("by hand",))
    found = estimate_accelerator([("a", [RESNET18_LAYER])], TPU, NM45, unplaced_sites=1234, mapper=mapper)
    assert found.missing == ("a matrix product for 1,234 sites",)
    assert found.hardware == f"{TPU.name} by hand" and "by hand" in found.assumptions
    plain = estimate_accelerator([("a", [RESNET18_LAYER])], TPU, NM45)
    assert (plain.hardware, plain.missing, plain.complete) == (TPU.name, (), True)


def test_figures_without_a_source_are_said():
    name = next(iter(TPU.assumed or TPU.unconfirmed), "clock_hz")
    bare = replace(TPU, assumed=(), unconfirmed=())
    assert list(doubtful_figures(bare)) == []
    (unconfirmed,) = doubtful_figures(replace(bare, unconfirmed=(name,)))
    (assumed,) = doubtful_figures(replace(bare, assumed=(name,)))
    assert unconfirmed.startswith(f"unconfirmed of {TPU.name}") and assumed.startswith(
        f"assumed of {TPU.name}"
    )


def test_equal_area_keeps_a_vector_a_single_row():
    """An adder element of int8 has 171.25 of a multiplier's 419 µm²: 2.4467 times as many lanes."""
    vector = replace(TPU, structure="vector", rows=1, columns=100)
    bigger = equal_area(vector, NM45, [Arithmetic.ADDER])
    assert (bigger.rows, bigger.columns) == (1, 244)
    assert equal_area(vector, NM45, [Arithmetic.MAC]).columns == 100
    assert equal_area(vector, NM45, []).columns == 100
    square = equal_area(replace(TPU, rows=10, columns=10), NM45, [Arithmetic.ADDER])
    # √2.4467 = 1.564: 15 rows, and 244.67 / 15 = 16.3 columns.
    assert (square.rows, square.columns) == (15, 16)
