"""Cycles, and energy by level of memory, of matrix products on an array."""

from __future__ import annotations

from dataclasses import dataclass

from addercost.cost.accelerator.dataflow import systolic_cycles, vector_cycles
from addercost.cost.accelerator.element import Element
from addercost.cost.accelerator.tiling import OPERANDS, Shape, Traffic, best_traffic, serving
from addercost.cost.columns import ONE_LAYER, Column, Columns
from addercost.counts.matrix_products import MatrixProduct
from addercost.hardware.schema.accelerator import Accelerator

ELEMENTS = "elements"


@dataclass(frozen=True, slots=True)
class ProductCost:
    """What a product costs. All fields are columns.

    compute_cycles: of the array alone. cycles: the longest of the array and its memories, which work at the
    same time. energy_pj: of the elements (0 without a figure) and of each level of memory.
    """

    compute_cycles: Column
    cycles: Column
    energy_pj: dict[str, Column]


def product_cost(product: MatrixProduct, accelerator: Accelerator, element: Element) -> ProductCost:
    """The cost of one layer with all its repeats."""
    if not product.sites:
        return ProductCost(0, 0, {})
    shape = Shape(
        product.outputs_each,
        product.depth,
        product.filters,
        product.inputs,
        accelerator.rows,
        accelerator.columns,
    )
    once = shape_cost(shape, accelerator, element, ONE_LAYER)
    times = product.repeats
    return ProductCost(
        once.compute_cycles * times,
        once.cycles * times,
        {level: joules * times for level, joules in once.energy_pj.items()},
    )


def shape_cost(shape: Shape, accelerator: Accelerator, element: Element, columns: Columns) -> ProductCost:
    """The cost of products of these shapes. Rows and columns come from `shape`, everything else from
    `accelerator`.
    """
    traffic = best_traffic(shape, accelerator, element, columns)
    compute = _compute_cycles(shape, accelerator, traffic)
    cycles = compute
    energy = {ELEMENTS: shape.t * shape.k * shape.n * (element.energy_pj or 0.0)}
    for level, n_bytes in _bytes_by_level(shape, accelerator, element, traffic).items():
        memory = next(memory for memory in accelerator.memories if memory.memory == level)
        energy[level] = n_bytes * memory.energy_pj_per_byte
        if memory.bytes_per_cycle is not None:
            cycles = columns.maximum(cycles, n_bytes / memory.bytes_per_cycle)
    return ProductCost(compute, cycles, energy)


def _compute_cycles(shape: Shape, accelerator: Accelerator, traffic: Traffic) -> Column:
    t, k, n, _, rows, lanes = shape
    if accelerator.structure == "vector":
        return vector_cycles(t, k, n, lanes)
    return systolic_cycles(accelerator.dataflow, t, k, n, rows, lanes, traffic.chunks)


def _bytes_by_level(
    shape: Shape, accelerator: Accelerator, element: Element, traffic: Traffic
) -> dict[str, Column]:
    """Bytes that each memory reads and writes. In registers, every site reads both operands and reads and
    writes its sum. Bytes from DRAM are written into a buffer before the array reads them there.
    """
    sites = shape.t * shape.k * shape.n
    of_site = (element.operand_bytes, element.filter_bytes, 2 * element.sum_bytes)
    found: dict[str, Column] = {memory.memory: 0 * sites for memory in accelerator.memories}
    for operand, each, edge, dram in zip(OPERANDS, of_site, traffic.edge, traffic.dram, strict=True):
        for role, n_bytes in (("register", sites * each), ("buffer", edge + dram), ("dram", dram)):
            memory = serving(accelerator, role, operand)
            if memory is not None:
                found[memory.memory] += n_bytes
    return found
