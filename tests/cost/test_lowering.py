"""Which instructions a layer becomes."""

import itertools
from dataclasses import replace

import pytest
from counted_layers import Layer, adder_layer, mac_layer, xnor_layer

from addercost.arithmetic import Arithmetic, OpClass, OpCounts
from addercost.cost.layers import kind_of
from addercost.cost.lowering import Lowerer, Lowering, operations_of
from addercost.cost.sequences import site_sequence
from addercost.cost.target_registry import load_target
from addercost.hardware import list_hardware


def lowered(layer: Layer, name: str, lowering: str = "simd"):
    return Lowerer(load_target(name), Lowering(lowering)).lower(operations_of(kind_of(layer)))


def executions(layer: Layer, name: str, lowering: str = "simd") -> dict[str, float]:
    return {f"{row.op}/{row.vector_bits}": n for row, n in lowered(layer, name, lowering).executions}


@pytest.mark.parametrize(
    ("layer", "name", "expected"),
    [
        # 6,400 sites on 512-bit registers: 16 fp32 or 64 bytes or 512 signs at a time.
        pytest.param(mac_layer(6400), "intel-icelake", {"fp32_fma/512": 400}, id="fma"),
        pytest.param(
            mac_layer(6400), "via-nano-2000", {"fp32_mul/128": 1600, "fp32_add/128": 1600}, id="no-fma"
        ),
        pytest.param(
            adder_layer(6400),
            "intel-icelake",
            {"fp32_max/512": 400, "fp32_add/512": 400},
            id="adder-in-two",
        ),
        pytest.param(
            adder_layer(6400),
            "neoverse-n1",
            {"fp32_absdiff/128": 1600, "fp32_add/128": 1600},
            id="adder-fused",
        ),
        pytest.param(mac_layer(6400, "int8"), "intel-icelake", {"int8_dot/512": 100}, id="vnni"),
        pytest.param(mac_layer(6400, "int8"), "cortex-a55", {"int8_dot/128": 400}, id="sdot"),
        pytest.param(
            mac_layer(6400, "int8"),
            "intel-haswell",
            {"int8_maddubs/256": 200, "int16_madd/256": 200, "int32_add/256": 200},
            id="int8-without-dot-product",
        ),
        pytest.param(
            adder_layer(6400, "int8", with_abs=True),
            "intel-icelake",
            {"uint8_sad/512": 100, "int32_add/512": 100},
            id="sad",
        ),
        pytest.param(
            adder_layer(6400, "uint8"),
            "cortex-a53",
            {"uint8_absdiff_acc_long/128": 400, "uint8_absdiff_acc_long_high/128": 400},
            id="sad-on-arm-long",
        ),
        # Neoverse N1: uabal and uabal2 take a cycle each, uabd half of one and uadalp one.
        pytest.param(
            adder_layer(6400, "uint8"),
            "neoverse-n1",
            {"uint8_absdiff/128": 400, "uint8_pair_add_acc/128": 400},
            id="sad-on-arm-in-pairs",
        ),
        pytest.param(adder_layer(6400, "uint8"), "cortex-m4", {"uint8_sad_acc/32": 1600}, id="usada8"),
        pytest.param(
            xnor_layer(51200),
            "amd-zen4",
            {"xor/512": 100, "int32_popcount/512": 100, "int32_add/512": 100},
            id="xnor-on-packed-words",
        ),
        pytest.param(
            xnor_layer(6400),
            "neoverse-n1",
            {"xor/128": 50, "int8_popcount/128": 50, "uint8_pair_add_acc/128": 50},
            id="xnor-on-arm",
        ),
    ],
)
def test_simd(layer, name, expected):
    assert executions(layer, name) == pytest.approx(expected)
    assert not lowered(layer, name).missing


def test_scalar_keeps_to_scalar_registers_and_packs_signs():
    assert executions(mac_layer(640), "intel-haswell", "scalar") == {"fp32_fma/32": 640}
    assert executions(xnor_layer(640), "intel-haswell", "scalar") == {
        "xor/32": 10,
        "int64_popcount/64": 10,
        "int64_add/64": 10,
    }


def test_paper_fuses_nothing():
    assert executions(mac_layer(640), "intel-haswell", "paper") == {"fp32_mul/32": 640, "fp32_add/32": 640}


def test_an_accumulation_counted_at_another_width_is_part_of_the_site():
    counts = OpCounts.of("int8", mul=640) + OpCounts.of("int32", add=640)
    assert executions(Layer(counts, Arithmetic.MAC, 640), "intel-icelake") == {"int8_dot/512": 10}


def test_additions_are_taken_once_from_the_first_format_that_has_them():
    """10 products take the 6 additions of bytes and 4 of words; 16 of words are left, one vector of them."""
    counts = OpCounts.of("int8", mul=10, add=6) + OpCounts.of("int32", add=20)
    work = executions(Layer(counts, Arithmetic.MAC, 10), "intel-icelake")
    assert work == {"int8_dot/512": 10 / 64, "int32_add/512": 1}


def test_one_addition_less_per_output_is_the_same_inner_loop():
    """The K - 1 convention: the first product of each of 10 sums has no addition to fuse with."""
    work = executions(Layer(OpCounts.of(mul=640, add=630), Arithmetic.MAC, 640), "intel-haswell")
    assert work == {"fp32_fma/256": 630 / 8, "fp32_mul/256": 10 / 8}


def test_additions_beside_the_adder_sites_are_charged():
    layer = Layer(OpCounts.of(add=2 * 640 + 80), Arithmetic.ADDER, 640)
    work = lowered(layer, "intel-haswell").executions
    # Haswell takes maxima once a cycle, and multiplies and adds twice: sums and the 80 others go there.
    assert sum(n for row, n in work if row.op == "fp32_max") == 640 / 8
    assert sum(n for row, n in work if row.op == "fp32_fma") == (640 + 80) / 8


def test_binary_operations_without_popcount_are_missing_not_free():
    assert {op.value for op, _ in lowered(xnor_layer(64), "via-nano-2000").missing} == {"popcount"}


@pytest.mark.parametrize("name", [file.name for file in list_hardware(kind="cpu")])
def test_every_sequence_is_made_of_rows_of_the_table(name):
    target = load_target(name)
    for arithmetic, number_format in itertools.product(Arithmetic, ("fp32", "int8")):
        sequence = site_sequence(target, arithmetic, number_format)
        if sequence is None:
            continue
        assert sequence.sites >= 1
        assert all(step.instruction in target.instructions for step in sequence.steps)
        vector_widths = {s.instruction.vector_bits for s in sequence.steps if s.instruction.form != "scalar"}
        assert len(vector_widths) <= 1
        assert sequence.text


def test_sites_without_instructions_of_their_own_run_operation_by_operation():
    """A core that adds but can neither take |.| nor mask: its additions are charged, the |.| are missing."""
    haswell = load_target("intel-haswell")
    adds = tuple(row for row in haswell.instructions if row.op == "fp32_add")
    lowerer = Lowerer(replace(haswell, instructions=adds), Lowering.SIMD)
    done = lowerer.lower(operations_of(kind_of(adder_layer(800, with_abs=True))))
    # 2 · 800 additions, 8 to a register of 256 bits.
    assert [(row.op, n) for row, n in done.executions] == [("fp32_add", 200)]
    assert done.missing == {(OpClass.ABS, "fp32"): 800}


@pytest.mark.parametrize("sites", [0, 6400], ids=["no sites", "sites of multiply-adds"])
def test_bits_that_are_compared_and_counted_are_a_binary_loop_in_any_layer(sites: int) -> None:
    """A network may compare signs in a module of its own, which is of no arithmetic."""
    own = Layer(xnor_layer(6400).counts, Arithmetic.MAC if sites else None, sites)
    assert executions(own, "intel-icelake") == executions(xnor_layer(6400), "intel-icelake")


def test_distances_are_an_adder_loop_in_adder_layers_alone() -> None:
    """Elsewhere a sum and an absolute value are two instructions."""
    counts = adder_layer(6400, with_abs=True).counts
    own = Layer(counts, None, 0)
    assert executions(own, "neoverse-n1") == {"fp32_add/128": 3200, "fp32_abs/128": 1600}
