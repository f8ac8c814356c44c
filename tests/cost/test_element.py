"""The logic of an element: energy and area of a site's operations, by made-up figures of a node."""

from __future__ import annotations

from dataclasses import replace

import pytest

from addercost.arithmetic import Arithmetic, OpClass, OpCounts
from addercost.cost.accelerator.element import element_of
from addercost.cost.energy import estimate_energy, operation_energy
from addercost.hardware import load_energy
from addercost.hardware.schema.energy import EnergyFigure, EnergyTable
from addercost.hardware.vocabulary import Quality

NM45 = load_energy("45nm")
SOURCE = next(iter(NM45.sources))


def figure(
    op: str,
    number_format: str,
    energy_pj: float | None,
    area_um2: float | None = None,
    period_ns: float | None = None,
) -> EnergyFigure:
    made = next(one for one in NM45.operations)
    return replace(
        made,
        op=op,
        number_format=number_format,
        energy_pj=energy_pj,
        area_um2=area_um2,
        clock_period_ns=period_ns,
        quality=Quality.PUBLISHED,
        source=SOURCE,
    )


def table(*figures: EnergyFigure) -> EnergyTable:
    return replace(NM45, operations=figures, fits=())


ADD8, MUL8 = figure("add", "int8", 1, 10), figure("mul", "int8", 8, 100)
ADD32, MUL32 = figure("add", "int32", 4, 40), figure("mul", "int32", 64, 1000)


def test_a_multiply_add_is_a_product_and_a_sum_of_its_own_width() -> None:
    element = element_of(Arithmetic.MAC, "int8", "int32", table(ADD8, MUL8, ADD32))
    assert (element.energy_pj, element.area_um2) == (8 + 4, 100 + 40)
    assert (element.operand_bytes, element.filter_bytes, element.sum_bytes) == (1, 1, 4)
    assert (element.missing, element.assumptions) == ((), ())


def test_an_area_without_a_figure_follows_from_the_nearest_width() -> None:
    """A multiplier of 16 bits has a quarter of the area of one of 32, or four times that of one of 8, which
    is nearer. An adder of 16 bits has twice the area of one of 8."""
    found = element_of(Arithmetic.MAC, "int16", "int16", table(ADD8, MUL8, ADD32, MUL32))
    assert found.area_um2 == 4 * 100 + 2 * 10
    assert "the area of mul (int16) from mul (int8) by the square of its bits" in found.assumptions
    assert "the area of add (int16) from add (int8) by its bits" in found.assumptions
    only = element_of(Arithmetic.MAC, "int16", "int16", table(ADD32, MUL32))
    assert only.area_um2 == 1000 / 4 + 40 / 2
    assert only.energy_pj is None and "the energy of mul (int16)" in only.missing


def test_floats_take_the_area_of_no_integer() -> None:
    found = element_of(Arithmetic.MAC, "fp16", "fp32", table(ADD8, MUL8))
    assert found.area_um2 is None
    assert {"the area of mul (fp16)", "the area of add (fp32)"} <= set(found.missing)


def test_one_missing_figure_makes_the_sum_unknown() -> None:
    found = element_of(Arithmetic.MAC, "int8", "int32", table(MUL8, figure("add", "int32", 4)))
    assert (found.energy_pj, found.area_um2) == (12, None)
    assert found.missing == ("the area of add (int32)",)


@pytest.mark.parametrize(
    ("kind", "what"), [(Arithmetic.SHIFT, "a shift"), (Arithmetic.TERNARY, "selecting x, -x or 0")]
)
def test_what_a_table_does_not_know_takes_an_addition_and_says_so(kind: Arithmetic, what: str) -> None:
    found = element_of(kind, "int8", "int32", table(ADD8, ADD32))
    assert found.energy_pj is not None
    assert any(
        text.startswith(what) and "costs an addition of its width" in text for text in found.assumptions
    )
    bare = element_of(kind, "int8", "int32", table(ADD32))
    assert bare.energy_pj is None


def test_binary_operands_are_bits() -> None:
    found = element_of(Arithmetic.XNOR, "int8", "int32", table(ADD8, ADD32))
    assert (found.operand_bytes, found.filter_bytes) == (1 / 8, 1 / 8)


def test_weights_are_as_wide_as_their_arithmetic_keeps_them() -> None:
    assert element_of(Arithmetic.TERNARY, "int8", "int32", NM45).filter_bytes == 2 / 8


def test_a_look_up_has_no_area() -> None:
    found = element_of(Arithmetic.LUT, "int8", "int16", table(ADD8, ADD32))
    assert found.area_um2 is None and any("the area" in text for text in found.missing)


@pytest.mark.parametrize(
    ("period", "energy_pj"), [(None, 3), (1.0, 1), (2.0, 3), (3.0, None)], ids=["longest", "1", "2", "3"]
)
def test_of_several_clock_periods_the_named_or_the_longest(
    period: float | None, energy_pj: float | None
) -> None:
    known = table(figure("add", "int8", 1, period_ns=1.0), figure("add", "int8", 3, period_ns=2.0))
    charge = operation_energy(known, OpClass.ADD, "int8", period)
    assert (charge and charge.energy_pj) == energy_pj


def test_a_figure_of_no_clock_period_serves_every_one() -> None:
    known = table(figure("add", "int8", 5))
    charge = operation_energy(known, OpClass.ADD, "int8", 1.0)
    assert charge is not None and charge.energy_pj == 5


def test_a_figure_for_any_format_serves_each() -> None:
    known = table(figure("add", "any", 5))
    charge = operation_energy(known, OpClass.ADD, "uint16")
    assert charge is not None and charge.energy_pj == 5
    assert operation_energy(known, OpClass.MUL, "uint16") is None


def test_stand_ins_come_after_an_operation_s_own_figure() -> None:
    own, stand_in = figure("compare", "int8", 2), ADD8
    for figures, energy_pj, said in (((own, stand_in), 2, ""), ((stand_in,), 1, "costs a subtraction")):
        charge = operation_energy(table(*figures), OpClass.COMPARE, "int8")
        assert charge is not None and charge.energy_pj == energy_pj and said in charge.assumption
    mask = figure("bitwise", "int8", 0.5)
    charge = operation_energy(table(mask, ADD8), OpClass.ABS, "int8")
    assert charge is not None and (charge.energy_pj, charge.assumption) == (0.5, "|x| costs a mask")


class Layer:
    path, arithmetic, mac_sites, bytes = "layer", Arithmetic.MAC, 6, 0

    def __init__(self, counts: OpCounts) -> None:
        self.counts = counts


def test_the_widest_additions_are_the_accumulations() -> None:
    """Six sites: all four sums of 32 bits and two of the five of 8 bits move to 16; the scale's stay."""
    counts = OpCounts.of("int8", add=5) + OpCounts.of("int32", add=4) + OpCounts.of("fp32", add=3)
    wide, known = figure("add", "int16", 100), figure("add", "fp32", 1000)
    energy = estimate_energy([Layer(counts)], table(ADD8, ADD32, wide, known), accumulator_format="int16")
    assert energy.total_j == pytest.approx((3 * 1 + 6 * 100 + 3 * 1000) * 1e-12)
    assert energy.assumptions[0] == "layers accumulate in int16"


def test_more_sites_than_integer_additions_move_floats_too() -> None:
    counts = OpCounts.of("int32", add=4) + OpCounts.of("fp32", add=3)
    wide, known = figure("add", "int16", 100), figure("add", "fp32", 1000)
    energy = estimate_energy([Layer(counts)], table(ADD32, wide, known), accumulator_format="int16")
    assert energy.total_j == pytest.approx((6 * 100 + 1 * 1000) * 1e-12)


def test_missing_energies_are_summed_over_layers() -> None:
    layers = [Layer(OpCounts.of("int8", mul=n)) for n in (2, 3)]
    energy = estimate_energy(layers, table(ADD8))
    assert [(one.figure, one.count) for one in energy.missing] == [("the energy of mul (int8)", 5)]
