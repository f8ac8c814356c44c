"""Energy and area of one element of an array: the two operations of a site, from an energy table."""

from __future__ import annotations

from dataclasses import dataclass

from addercost.arithmetic import Arithmetic, OpClass
from addercost.cost.energy import operation_energy
from addercost.counts.arithmetics import DEFINITIONS
from addercost.hardware.schema.energy import EnergyTable

_BITS = {"bit": 1, "int8": 8, "int16": 16, "int32": 32, "fp16": 16, "fp32": 32}
_NAMES = {OpClass.MUL: "mul", OpClass.ADD: "add"}

_AS_AN_ADDITION = {OpClass.SHIFT: "a shift", OpClass.XNOR: "an XNOR", OpClass.LOGIC: "selecting x, -x or 0"}
"""Operations that take the energy of an addition of equal width where a table has no figure for them."""


@dataclass(frozen=True, slots=True)
class Element:
    """What one site costs: the combination at the operands' width plus the accumulation at the sum's width.

    operand_bytes: the bytes of an input. A filter has as many, or fewer where the arithmetic packs its
    weights. energy_pj, area_um2: of the logic alone, without registers; None where the table lacks a figure,
    which `missing` names. assumptions: which figures stand in for others that the table lacks.
    """

    kind: Arithmetic
    operand_bytes: float
    filter_bytes: float
    sum_bytes: float
    energy_pj: float | None
    area_um2: float | None
    missing: tuple[str, ...]
    assumptions: tuple[str, ...]


def element_of(kind: Arithmetic, number_format: str, accumulator_format: str, table: EnergyTable) -> Element:
    """The element that computes a site of an arithmetic. An arithmetic that computes several sites at once
    has the cost divided by their number.
    """
    definition = DEFINITIONS[kind]
    parts = definition.element(number_format, accumulator_format)
    missing: list[str] = []
    assumptions: dict[str, None] = {}
    energies, areas = [], []
    for op_class, each_format, times in parts:
        energy = _energy_pj(table, op_class, each_format, assumptions)
        area = _area_um2(table, op_class, each_format, assumptions)
        if energy is None:
            missing.append(f"the energy of {op_class} ({each_format})")
        if area is None:
            missing.append(f"the area of {op_class} ({each_format})")
        energies.append(None if energy is None else energy * times)
        areas.append(None if area is None else area * times)
    if not parts:
        missing += [f"the {what} of a site of {kind} in {number_format}" for what in ("energy", "area")]
        energies, areas = [None], [None]
    operand = "bit" if kind is Arithmetic.XNOR else number_format
    return Element(
        kind=kind,
        operand_bytes=_BITS[operand] / 8,
        filter_bytes=(definition.weight_bits or _BITS[operand]) / 8,
        sum_bytes=_BITS[accumulator_format] / 8,
        energy_pj=_sum(energies),
        area_um2=_sum(areas),
        missing=tuple(missing),
        assumptions=tuple(assumptions),
    )


def _sum(figures: list[float | None]) -> float | None:
    known = [figure for figure in figures if figure is not None]
    return sum(known) if len(known) == len(figures) else None


def _energy_pj(
    table: EnergyTable, op_class: OpClass, number_format: str, assumptions: dict[str, None]
) -> float | None:
    known_as = "bool" if number_format == "bit" else number_format
    found = operation_energy(table, op_class, known_as)
    if found is None and op_class in _AS_AN_ADDITION:
        found = operation_energy(table, OpClass.ADD, known_as)
        if found is not None:
            what = _AS_AN_ADDITION[op_class]
            assumptions[f"{what} ({number_format}) costs an addition of its width"] = None
    elif found is not None and found.assumption:
        assumptions[f"{op_class} ({number_format}): {found.assumption}"] = None
    return found.energy_pj if found is not None else None


def _area_um2(
    table: EnergyTable, op_class: OpClass, number_format: str, assumptions: dict[str, None]
) -> float | None:
    """The table's figure in µm², else one scaled from the nearest integer width: an adder's area grows with
    the bits, a multiplier's with their square. Every operation but a multiplication takes the area of an
    adder.
    """
    if op_class is OpClass.LOOKUP:
        return None
    name = _NAMES.get(op_class, "add")
    areas = {f.number_format: f.area_um2 for f in table.operations if f.op == name and f.area_um2 is not None}
    if number_format in areas:
        return areas[number_format]
    if number_format.startswith("fp"):
        return None
    bits = _BITS[number_format]
    integers = [f for f in areas if f.startswith("int") and f in _BITS]
    nearest = min(integers, key=lambda f: abs(_BITS[f] - bits), default=None)
    if nearest is None:
        return None
    power = 2 if name == "mul" else 1
    law = "the square of its bits" if power == 2 else "its bits"
    assumptions[f"the area of {op_class} ({number_format}) from {name} ({nearest}) by {law}"] = None
    return areas[nearest] * (bits / _BITS[nearest]) ** power
