"""Matrix products × accelerator → cycles, seconds, joules by level of memory."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from addercost.arithmetic import Arithmetic
from addercost.cost.accelerator.dataflow import passes, systolic_cycles, vector_cycles
from addercost.cost.accelerator.element import Element, element_of
from addercost.counts.matrix_products import MatrixProduct
from addercost.errors import ArgumentError
from addercost.hardware.schema.accelerator import Accelerator, AcceleratorMemory, Operand
from addercost.hardware.schema.energy import EnergyTable

ELEMENTS = "elements"
PJ = 1e-12


@dataclass(frozen=True, slots=True)
class ProductCost:
    """compute_cycles: of the array alone; cycles: of the slowest of the array and its memories, which work at
    the same time. energy_pj: of the elements and of each level, None for elements without a figure."""

    compute_cycles: float
    cycles: float
    energy_pj: dict[str, float]
    complete: bool


@dataclass(frozen=True, slots=True)
class AcceleratorCost:
    """An estimate of a network. energy_j: by `ELEMENTS` and each level of memory, in that order.

    utilization: sites by the elements' cycles. complete: False where sites are left out or an element has no
    figure; cycles and joules are lower bounds then, as `missing` says.
    """

    hardware: str
    rows: int
    columns: int
    cycles: float
    compute_cycles: float
    seconds: float
    energy_j: dict[str, float]
    utilization: float
    complete: bool
    missing: tuple[str, ...]
    assumptions: tuple[str, ...]

    @property
    def total_j(self) -> float:
        return sum(self.energy_j.values())


def product_cost(product: MatrixProduct, accelerator: Accelerator, element: Element) -> ProductCost:
    """One layer. Each operand passes the array's edge as the dataflow says, and comes from DRAM once where
    its buffer holds it, else anew for every pass. An operand without a buffer passes from and to DRAM.
    Partial sums that their buffer does not hold pass through DRAM too: layers are not cut into smaller ones.
    Every site reads both operands and reads and writes its sum in registers.
    """
    t, k, n = product.outputs_each, product.depth, product.filters
    rows, columns = accelerator.rows, accelerator.columns
    if not product.sites:
        return ProductCost(0, 0, {}, True)
    if accelerator.structure == "vector":
        compute = vector_cycles(t, k, n, columns)
    else:
        compute = systolic_cycles(accelerator.dataflow, t, k, n, rows, columns)
    moved = passes(accelerator.dataflow, t, k, n, rows, columns)
    operand, summed = element.operand_bytes, element.sum_bytes
    edge: dict[Operand, float] = {
        "input": moved.input_reads * operand,
        "filter": moved.filter_reads * operand,
        "output": (moved.output_writes + moved.output_reads) * summed,
    }
    distinct: dict[Operand, float] = {
        "input": product.inputs * operand,
        "filter": k * n * operand,
        "output": t * n * operand,
    }
    again: dict[Operand, int] = {"input": moved.input_passes, "filter": moved.filter_passes, "output": 1}
    n_bytes: dict[str, float] = {}
    for name in edge:
        buffer = _serving(accelerator, "buffer", name)
        dram = _serving(accelerator, "dram", name)
        assert dram is not None
        register = _serving(accelerator, "register", name)
        if register is not None:
            of_site = 2 * summed if name == "output" else operand
            _add(n_bytes, register, t * k * n * of_site)
        if buffer is None:
            _add(n_bytes, dram, edge[name])
            continue
        size = buffer.size_bytes or math.inf
        if name == "output":
            spilled = edge[name] if moved.live_outputs * summed > size else 0
            from_dram = distinct[name] + spilled
        else:
            from_dram = distinct[name] * (1 if distinct[name] <= size else again[name])
        _add(n_bytes, dram, from_dram)
        _add(n_bytes, buffer, edge[name] + from_dram)
    cycles: float = compute
    energy = {ELEMENTS: t * k * n * (element.energy_pj or 0.0)}
    for memory in accelerator.memories:
        through = n_bytes.get(memory.memory, 0)
        energy[memory.memory] = through * memory.energy_pj_per_byte
        if memory.bytes_per_cycle is not None:
            cycles = max(cycles, through / memory.bytes_per_cycle)
    times = product.repeats
    return ProductCost(
        compute * times,
        cycles * times,
        {level: joules * times for level, joules in energy.items()},
        element.energy_pj is not None,
    )


def estimate_accelerator(
    products: Iterable[MatrixProduct],
    accelerator: Accelerator,
    table: EnergyTable,
    unplaced_sites: int = 0,
) -> AcceleratorCost:
    """A network, layer after layer; a layer runs on elements of its own arithmetic, computed in the
    accelerator's formats. Everything but matrix products (activations, norms, pooling) is left out.

    unplaced_sites: sites of which no matrix product is known, which make a lower bound.
    """
    elements = {a: element_for(a, accelerator, table) for a in Arithmetic}
    used: dict[Arithmetic, None] = {}
    cycles = compute = 0.0
    sites = 0
    energy = dict.fromkeys((ELEMENTS, *(memory.memory for memory in accelerator.memories)), 0.0)
    for product in products:
        used[product.arithmetic] = None
        cost = product_cost(product, accelerator, elements[product.arithmetic])
        cycles += cost.cycles
        compute += cost.compute_cycles
        sites += product.sites
        for level, picojoules in cost.energy_pj.items():
            energy[level] += picojoules * PJ
    missing = [m for a in used for m in elements[a].missing if "energy" in m]
    if unplaced_sites:
        missing.append(f"a matrix product for {unplaced_sites:,} sites")
    assumed = [
        f"computed in {accelerator.number_format}, summed in {accelerator.accumulator_format}",
        "matrix products alone, no activations and norms",
    ]
    assumed += [text for a in used for text in elements[a].assumptions if "area" not in text]
    if len(used) > 1:
        assumed.append(f"elements for {' and '.join(used)} beside each other, of which one kind works")
    places = accelerator.rows * accelerator.columns
    return AcceleratorCost(
        hardware=accelerator.name,
        rows=accelerator.rows,
        columns=accelerator.columns,
        cycles=cycles,
        compute_cycles=compute,
        seconds=cycles / accelerator.clock_hz,
        energy_j=energy,
        utilization=sites / (cycles * places) if cycles else 0.0,
        complete=not missing,
        missing=tuple(dict.fromkeys(missing)),
        assumptions=tuple(dict.fromkeys(assumed)),
    )


def element_for(arithmetic: Arithmetic, accelerator: Accelerator, table: EnergyTable) -> Element:
    return element_of(arithmetic, accelerator.number_format, accelerator.accumulator_format, table)


def equal_area(
    accelerator: Accelerator,
    table: EnergyTable,
    used: Sequence[Arithmetic],
    base: Arithmetic = Arithmetic.MAC,
) -> Accelerator:
    """The array whose elements for `used` together take the area of the logic of its `base` elements.

    Rows and columns grow alike, rounded down, so that the area is not exceeded. Memories and their bandwidths
    stay. Raises ArgumentError where the table has no area for an element.
    """
    areas = []
    for arithmetic in (base, *used):
        element = element_for(arithmetic, accelerator, table)
        if element.area_um2 is None:
            lacking = ", ".join(text for text in element.missing if "area" in text)
            raise ArgumentError(
                f"no equal area on {accelerator.name}: {table.name} has no figure for {lacking}",
                "leave --equal-area out, or name another accelerator",
            )
        areas.append(element.area_um2)
    of_base, of_used = areas[0], sum(areas[1:]) or areas[0]
    places = accelerator.rows * accelerator.columns * of_base / of_used
    # A vector has one row; the sides of an array grow by the same factor.
    rows = max(1, int(accelerator.rows * math.sqrt(of_base / of_used)))
    if accelerator.structure == "vector":
        rows = 1
    return replace(accelerator, rows=rows, columns=max(1, int(places / rows)))


def _serving(accelerator: Accelerator, role: str, operand: Operand) -> AcceleratorMemory | None:
    for memory in accelerator.memories:
        if memory.role == role and operand in memory.operands:
            return memory
    return None


def _add(n_bytes: dict[str, float], memory: AcceleratorMemory, more: float) -> None:
    n_bytes[memory.memory] = n_bytes.get(memory.memory, 0) + more
