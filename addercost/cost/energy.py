"""Joules of a counted model on a process node: separate terms for arithmetic and for memory traffic.

Each operation is charged at the width it was counted at. `accumulator_format` moves the accumulating
additions to another width, since a chip may sum bytes in 32 bits. Memory is charged per byte, for each level
asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache

from addercost.arithmetic import Arithmetic, OpClass, OpCounts
from addercost.cost.columns import Column
from addercost.cost.estimate import MissingFigure, missing_figures
from addercost.cost.layers import CountedLayer, CountedModel, Key, bytes_moved, layers_of
from addercost.errors import unknown_name
from addercost.hardware.schema.energy import EnergyFigure, EnergyTable, MemoryEnergy

PJ = 1e-12

# Under which name an energy table has each operation class, best first, and what using that name assumes.
_OPERATIONS: dict[OpClass, tuple[tuple[str, str], ...]] = {
    OpClass.MUL: (("mul", ""),),
    OpClass.ADD: (("add", ""),),
    OpClass.COMPARE: (("compare", ""), ("add", "a comparison costs a subtraction")),
    OpClass.SHIFT: (("shift", ""),),
    OpClass.XNOR: (("bitwise", ""),),
    OpClass.LOGIC: (("bitwise", ""),),
    OpClass.LOOKUP: (("LUT query", ""),),
    OpClass.ABS: (("bitwise", "|x| costs a mask"), ("add", "|x| costs an addition")),
}
_INTEGER_BITS = {"bool": 1, "int8": 8, "uint8": 8, "int16": 16, "uint16": 16, "int32": 32, "int64": 64}


@dataclass(frozen=True, slots=True)
class LayerEnergy:
    """Joules of one layer, term by term. memory_j: (level, joules) of each level asked for."""

    path: str
    arithmetic_j: float
    memory_j: tuple[tuple[str, float], ...] = ()
    complete: bool = True

    @property
    def total_j(self) -> float:
        return self.arithmetic_j + sum(joules for _, joules in self.memory_j)


@dataclass(frozen=True, slots=True)
class ModelEnergy:
    """An energy estimate. `total_j` is the sum over `layers`. It is a lower bound where `complete` is
    False.
    """

    hardware: str
    total_j: float
    arithmetic_j: float
    complete: bool
    missing: tuple[MissingFigure, ...]
    assumptions: tuple[str, ...]
    layers: tuple[LayerEnergy, ...]


@dataclass(frozen=True, slots=True)
class EnergyCharge:
    """One operation's energy (pJ), and what had to be assumed."""

    energy_pj: float
    assumption: str = ""


def operation_energy(
    table: EnergyTable, op_class: OpClass, number_format: str, clock_period_ns: float | None = None
) -> EnergyCharge | None:
    """Energy of one operation: the table's figure, else its fit over widths, else None.

    A table may have figures for several clock periods. The figure for `clock_period_ns` is used, or that of
    the longest period where it is None.
    """
    for op, assumption in _OPERATIONS.get(op_class, ()):
        figure = _figure(table, op, number_format, clock_period_ns)
        if figure is not None and figure.energy_pj is not None:
            return EnergyCharge(figure.energy_pj, assumption)
        bits = _INTEGER_BITS.get(number_format)
        for fit in table.fits:
            if fit.op == op and bits is not None:
                fitted = f"{number_format} {op} from the fit over bits"
                return EnergyCharge(fit.energy_pj(bits), f"{assumption}, {fitted}" if assumption else fitted)
    return None


def estimate_energy(
    model_counts: CountedModel | Iterable[CountedLayer],
    table: EnergyTable,
    memories: Sequence[str] = (),
    arithmetic: bool = True,
    accumulator_format: str | None = None,
    clock_period_ns: float | None = None,
    strict: bool = False,
) -> ModelEnergy:
    """Joules of counted layers on `table`'s node.

    memories: names among `table.memories`; each level is charged for every byte that a layer reads or writes.
    arithmetic: whether operations are charged at all. Raises ArgumentError for an unknown
    memory, CheckFailedError for a missing figure when `strict`.
    """
    levels = [memory_level(table, name) for name in memories]
    charge = energy_charges(table, clock_period_ns)
    missing: dict[str, float] = {}
    assumptions: dict[str, None] = {}
    if accumulator_format is not None:
        assumptions[f"layers accumulate in {accumulator_format}"] = None
    layers = []
    for layer in layers_of(model_counts):
        counts = _widened(layer, accumulator_format) if arithmetic else OpCounts()
        charged = arithmetic_energy(counts, charge)
        for (op_class, number_format), n in charged.missing.items():
            figure = f"the energy of {op_class} ({number_format})"
            missing[figure] = missing.get(figure, 0) + n
        assumptions |= charged.assumptions
        moved = bytes_moved(layer)
        memory_j = tuple((m.memory, moved * m.energy_pj_per_byte * PJ) for m in levels)
        layers.append(LayerEnergy(layer.path, charged.energy_pj * PJ, memory_j, not charged.missing))
    for level in levels:
        if level.energy_low_pj != level.energy_high_pj:
            assumptions[
                f"{level.memory}: the middle of {level.energy_low_pj} to {level.energy_high_pj} pJ"
            ] = None
    figures = missing_figures(missing, table.name, strict)
    return ModelEnergy(
        hardware=table.name,
        total_j=sum(layer.total_j for layer in layers),
        arithmetic_j=sum(layer.arithmetic_j for layer in layers),
        complete=not figures,
        missing=figures,
        assumptions=tuple(assumptions),
        layers=tuple(layers),
    )


@dataclass(frozen=True, slots=True)
class ChargedEnergy:
    """Picojoules of operations. missing: how many operations have no figure, by name. assumptions: which
    figures stood in.
    """

    energy_pj: Column
    missing: dict[Key, Column]
    assumptions: dict[str, None]


def energy_charges(
    table: EnergyTable, clock_period_ns: float | None = None
) -> Callable[[OpClass, str], EnergyCharge | None]:
    """A function that returns `operation_energy` of one table and looks each operation up only once."""
    return cache(
        lambda op_class, number_format: operation_energy(table, op_class, number_format, clock_period_ns)
    )


def arithmetic_energy(
    counts: Iterable[tuple[OpClass, str, Column]], charge: Callable[[OpClass, str], EnergyCharge | None]
) -> ChargedEnergy:
    """Σ count × energy, of one layer or of many layers as columns. See `addercost.cost.columns`."""
    charged: Column = 0.0
    missing: dict[Key, Column] = {}
    assumptions: dict[str, None] = {}
    for op_class, number_format, n in counts:
        found = charge(op_class, number_format)
        if found is None:
            missing[op_class, number_format] = n
            continue
        charged = charged + n * found.energy_pj
        if found.assumption:
            assumptions[f"{op_class} ({number_format}): {found.assumption}"] = None
    return ChargedEnergy(charged, missing, assumptions)


def _figure(
    table: EnergyTable, op: str, number_format: str, clock_period_ns: float | None
) -> EnergyFigure | None:
    found = [f for f in table.operations if f.op == op and f.number_format in (number_format, "any")]
    if clock_period_ns is not None:
        found = [f for f in found if f.clock_period_ns in (None, clock_period_ns)]
    return max(found, key=lambda f: f.clock_period_ns or 0, default=None)


def memory_level(table: EnergyTable, name: str) -> MemoryEnergy:
    """The level of that name. Raises ArgumentError where the table has none."""
    for memory in table.memories:
        if memory.memory == name:
            return memory
    raise unknown_name(f"memory of {table.name}", name, (m.memory for m in table.memories))


def _widened(layer: CountedLayer, accumulator_format: str | None) -> OpCounts:
    """The counts with one addition for each site moved to the accumulator's format.

    The accumulations are the widest additions of a layer, so these move first: the subtraction of an adder
    layer keeps the format of its operands. Binary layers count bits and have no such addition.
    """
    sites = getattr(layer, "mac_sites", 0)
    if accumulator_format is None or getattr(layer, "arithmetic", None) is Arithmetic.XNOR:
        return layer.counts
    counts = {(c, f): n for c, f, n in layer.counts}
    additions = sorted((f for c, f in counts if c is OpClass.ADD), key=_width, reverse=True)
    for f in additions:
        moved = min(counts[OpClass.ADD, f], sites)
        sites -= moved
        counts[OpClass.ADD, f] -= moved
        key = (OpClass.ADD, accumulator_format)
        counts[key] = counts.get(key, 0) + moved
    return OpCounts.from_mapping(counts)


def _width(number_format: str) -> tuple[bool, int]:
    """Sorts floating point, which an integer layer computes its scales in, behind the integers."""
    bits = _INTEGER_BITS.get(number_format)
    return (bits is not None, bits or 0)
