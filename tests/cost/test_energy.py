"""Energy from the published figures; ratios derived from them."""

from dataclasses import replace

import pytest
from counted_layers import Layer, adder_layer, mac_layer

from addercost.arithmetic import Arithmetic, OpClass, OpCounts
from addercost.cost.energy import estimate_energy, operation_energy
from addercost.errors import ArgumentError, CheckFailedError
from addercost.hardware import list_hardware, load_energy
from addercost.hardware.schema.energy import EnergyFit
from addercost.hardware.vocabulary import Quality

NM45 = load_energy("45nm")
NM7 = load_energy("7nm")


@pytest.mark.parametrize(
    ("table", "number_format", "accumulator", "difference", "ratio"),
    [
        # Horowitz, ISSCC 2014: fp32 mul 3.7, add 0.9; int8 mul 0.2, add 0.03; int32 add 0.1 pJ.
        pytest.param(NM45, "fp32", "fp32", "fp32", (3.7 + 0.9) / (0.9 + 0.9), id="fp32-45nm-2.56"),
        pytest.param(NM45, "int8", "int8", "int8", (0.2 + 0.03) / (0.03 + 0.03), id="int8-8-bit-sums-3.83"),
        pytest.param(NM45, "int8", "int32", "int8", (0.2 + 0.1) / (0.03 + 0.1), id="int8-32-bit-sums-2.31"),
        # The published 1.5 needs the subtraction at 32 bits too.
        pytest.param(
            NM45, "int8", "int32", "int32", (0.2 + 0.1) / (0.1 + 0.1), id="int8-all-additions-32-bit-1.5"
        ),
        # Jouppi et al., ISCA 2021: fp32 mul 1.31, add 0.38 pJ.
        pytest.param(NM7, "fp32", "fp32", "fp32", (1.31 + 0.38) / (0.38 + 0.38), id="fp32-7nm-2.22"),
    ],
)
def test_energy_of_a_convolution_tap_over_an_adder_tap(table, number_format, accumulator, difference, ratio):
    accumulation = OpCounts.of(accumulator, add=1)
    mac = Layer(OpCounts.of(number_format, mul=1) + accumulation)
    adder = Layer(OpCounts.of(difference, add=1) + accumulation)
    one, other = (estimate_energy([layer], table).total_j for layer in (mac, adder))
    assert one / other == pytest.approx(ratio)


@pytest.mark.parametrize(
    ("ratio", "rounded"),
    [(4.6 / 1.8, 2.56), (0.23 / 0.06, 3.83), (0.3 / 0.2, 1.5), (1.69 / 0.76, 2.22)],
    ids=["fp32-45nm", "int8", "int8-int32", "fp32-7nm"],
)
def test_the_derivations_above_round_to_the_published_ratios(ratio, rounded):
    assert round(ratio, 2) == rounded


def test_layers_and_their_total():
    energy = estimate_energy([mac_layer(1000), adder_layer(1000)], NM45)
    assert [layer.arithmetic_j for layer in energy.layers] == pytest.approx([4600e-12, 1800e-12])
    assert energy.total_j == pytest.approx(6400e-12)
    assert energy.complete


def test_accumulation_at_the_accumulators_width():
    mac = estimate_energy([mac_layer(1000, "int8")], NM45, accumulator_format="int32")
    adder = estimate_energy([adder_layer(1000, "int8")], NM45, accumulator_format="int32")
    assert mac.total_j == pytest.approx(1000 * (0.2 + 0.1) * 1e-12)
    assert adder.total_j == pytest.approx(1000 * (0.03 + 0.1) * 1e-12)


@pytest.mark.parametrize(
    ("accumulator", "energy_pj"),
    [
        # Subtraction in int8, 0.03 pJ; the sum in int32, 0.1 pJ, or by the fit of 0.003125 pJ a bit.
        pytest.param("int32", 0.03 + 0.1, id="int32-0.13"),
        pytest.param("int16", 0.03 + 0.003125 * 16, id="int16-0.08"),
        pytest.param(None, 0.03 + 0.1, id="as-counted"),
    ],
)
def test_an_accumulator_leaves_the_subtraction_alone(accumulator, energy_pj):
    """A layer that is counted with its sum in int32 already, as `--what-if int8` counts one."""
    counts = OpCounts.of("int8", add=1000) + OpCounts.of("int32", add=1000)
    layer = Layer(counts, Arithmetic.ADDER, 1000)
    energy = estimate_energy([layer], NM45, accumulator_format=accumulator)
    assert energy.total_j == pytest.approx(1000 * energy_pj * 1e-12)


def test_an_accumulator_leaves_other_additions_and_binary_layers_alone():
    scales = OpCounts.of("int32", add=100) + OpCounts.of("fp32", add=7)
    shifted = estimate_energy([Layer(scales, Arithmetic.MAC, 100)], NM45, accumulator_format="int16")
    assert shifted.total_j == pytest.approx((100 * 0.05 + 7 * 0.9) * 1e-12)
    binary = estimate_energy([Layer(scales, Arithmetic.XNOR, 100)], NM45, accumulator_format="int16")
    assert binary.total_j == pytest.approx((100 * 0.1 + 7 * 0.9) * 1e-12)


def test_memory_terms_are_apart_and_off_unless_asked_for():
    layer = Layer(OpCounts.of(add=10), bytes_read=600, bytes_written=200)
    assert estimate_energy([layer], NM45).layers[0].memory_j == ()
    energy = estimate_energy([layer], NM45, memories=["sram 32 KiB", "dram"])
    # 800 bytes are 100 accesses of 64 bits: 20 pJ each, and 1300 to 2600 pJ each.
    assert dict(energy.layers[0].memory_j) == pytest.approx({"sram 32 KiB": 2000e-12, "dram": 195_000e-12})
    assert energy.arithmetic_j == pytest.approx(9e-12)
    assert energy.total_j == pytest.approx(197_009e-12)
    assert any("1300 to 2600" in assumption for assumption in energy.assumptions)
    without = estimate_energy([layer], NM45, memories=["dram"], arithmetic=False)
    assert without.total_j == pytest.approx(195_000e-12)


def test_an_unknown_memory_is_refused():
    with pytest.raises(ArgumentError, match="unknown memory of 45nm"):
        estimate_energy([], NM45, memories=["dramm"])


def test_a_missing_energy_makes_a_lower_bound():
    energy = estimate_energy([mac_layer(1000, "bf16")], NM7)
    assert not energy.complete
    assert energy.total_j == pytest.approx(210e-12)  # bf16 mul 0.21 pJ
    assert [str(m) for m in energy.missing] == [
        "7nm has no figure for the energy of add (bf16): 1,000 not charged"
    ]
    with pytest.raises(CheckFailedError):
        estimate_energy([mac_layer(1000, "bf16")], NM7, strict=True)


def test_a_layer_says_whether_its_own_figures_are_all_there():
    energy = estimate_energy([mac_layer(1000), mac_layer(1000, "bf16")], NM7)
    assert [layer.complete for layer in energy.layers] == [True, False]


@pytest.mark.parametrize(
    ("number_format", "bits"),
    [("bool", 1), ("int8", 8), ("uint8", 8), ("int16", 16), ("uint16", 16), ("int32", 32), ("int64", 64)],
)
def test_a_fit_over_bits_knows_the_width_of_each_format(number_format, bits):
    """With no figure of its own an addition takes what the fit says: here 0.5 + 0.25 pJ a bit."""
    fit = EnergyFit("add", (0.5, 0.25), next(iter(NM45.sources)), Quality.PUBLISHED)
    charge = operation_energy(replace(NM45, operations=(), fits=(fit,)), OpClass.ADD, number_format)
    assert charge.energy_pj == 0.5 + 0.25 * bits


def test_int16_comes_from_the_fit_and_says_so():
    charge = operation_energy(NM45, OpClass.ADD, "int16")
    # qkeras: 0.003125 pJ a bit.
    assert charge.energy_pj == pytest.approx(0.05)
    assert "fit" in charge.assumption


def test_a_table_with_a_figure_for_each_clock_period():
    nm40 = load_energy("40nm")
    assert operation_energy(nm40, OpClass.ADD, "int32").energy_pj == 0.0853
    assert operation_energy(nm40, OpClass.ADD, "int32", clock_period_ns=1).energy_pj == 0.21


@pytest.mark.parametrize("name", [file.name for file in list_hardware(kind="energy")])
def test_every_energy_figure_has_a_source(name):
    table = load_energy(name)
    figures = [*table.operations, *table.memories, *table.fits, *table.relative]
    assert figures
    assert all(figure.source in table.sources for figure in figures)


def test_the_fpga_table_has_no_absolute_figure_to_sum():
    assert not estimate_energy([mac_layer(1)], load_energy("fpga")).complete
