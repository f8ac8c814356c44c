"""Many designs of an accelerator at once: rows × columns × dataflow × element × format, costed for one
network.

An element's energy depends on the number of sites alone. Elements whose operands are equally wide share
traffic and cycles, so these are computed once for each dataflow and width of operands.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from addercost.arithmetic import Arithmetic
from addercost.cost.accelerator.element import Element, element_of
from addercost.cost.accelerator.product import ELEMENTS, shape_cost
from addercost.cost.accelerator.tiling import Shape
from addercost.cost.arrays import MANY_LAYERS
from addercost.counts.matrix_products import MatrixProduct
from addercost.hardware.schema.accelerator import Accelerator, Dataflow, OperandFormat, SumFormat
from addercost.hardware.schema.energy import EnergyTable

Floats = NDArray[np.float64]
PJ = 1e-12
SUM_FORMATS: dict[OperandFormat, SumFormat] = {
    "int8": "int32",
    "int16": "int32",
    "fp16": "fp32",
    "fp32": "fp32",
}
"""The format of the sums for each format of operands: wide enough that hundreds of products do not
overflow.
"""
_CELLS = 40_000
"""The most numbers in one NumPy array: so many stay in a core's cache."""


@dataclass(frozen=True, slots=True)
class DesignSpace:
    """The values that are combined: every design takes one of each. accelerator: the memories, clock and
    structure that all designs share.
    """

    accelerator: Accelerator
    rows: tuple[int, ...]
    columns: tuple[int, ...]
    dataflows: tuple[Dataflow, ...]
    kinds: tuple[Arithmetic, ...]
    number_formats: tuple[OperandFormat, ...]

    @property
    def size(self) -> int:
        return (
            len(self.rows)
            * len(self.columns)
            * len(self.dataflows)
            * len(self.kinds)
            * len(self.number_formats)
        )


@dataclass(frozen=True, slots=True)
class Designs:
    """D designs, one array [D] for each property. dataflow, kind, number_format: positions in the tuples of
    `space`. area_mm2: the area of the elements' logic, NaN without a figure. left_out: how many designs were
    left out because their energy is not known. missing: the figures that those lack.
    """

    space: DesignSpace
    rows: NDArray[np.int64]
    columns: NDArray[np.int64]
    dataflow: NDArray[np.int64]
    kind: NDArray[np.int64]
    number_format: NDArray[np.int64]
    cycles: Floats
    seconds: Floats
    energy_j: Floats
    area_mm2: Floats
    left_out: int
    missing: tuple[str, ...]
    assumptions: tuple[str, ...]


def costed_designs(products: Iterable[MatrixProduct], space: DesignSpace, table: EnergyTable) -> Designs:
    """Costs every design of `space`. All layers run on elements of the design's arithmetic."""
    kinds = _distinct(products)
    rows, columns = (side.ravel() for side in np.meshgrid(space.rows, space.columns, indexing="ij"))
    parts: list[tuple[Floats, ...]] = []
    missing: dict[str, None] = {}
    assumptions: dict[str, None] = {}
    left_out = 0
    for d, dataflow in enumerate(space.dataflows):
        accelerator = replace(space.accelerator, dataflow=dataflow)
        known: dict[tuple[float, float, float], tuple[Floats, Floats, Floats]] = {}
        for f, number_format in enumerate(space.number_formats):
            for e, kind in enumerate(space.kinds):
                element = element_of(kind, number_format, SUM_FORMATS[number_format], table)
                if element.energy_pj is None:
                    left_out += len(rows)
                    missing |= dict.fromkeys(text for text in element.missing if "energy" in text)
                    continue
                assumptions |= dict.fromkeys(text for text in element.assumptions)
                widths = (element.operand_bytes, element.filter_bytes, element.sum_bytes)
                if widths not in known:
                    known[widths] = _totals(rows, columns, kinds, accelerator, element)
                cycles, memory_pj, sites = known[widths]
                energy = (memory_pj + sites * element.energy_pj) * PJ
                area = np.full(len(rows), np.nan if element.area_um2 is None else element.area_um2 / 1e6)
                which = [np.full(len(rows), float(i)) for i in (d, e, f)]
                parts.append((rows, columns, *which, cycles, energy, area * rows * columns))
    found = [np.concatenate(column) for column in zip(*parts, strict=True)] or [np.zeros(0)] * 8
    own_rows, own_columns, d_of, e_of, f_of = (column.astype(np.int64) for column in found[:5])
    return Designs(
        space,
        rows=own_rows,
        columns=own_columns,
        dataflow=d_of,
        kind=e_of,
        number_format=f_of,
        cycles=found[5],
        seconds=found[5] / space.accelerator.clock_hz,
        energy_j=found[6],
        area_mm2=found[7],
        left_out=left_out,
        missing=tuple(missing),
        assumptions=tuple(assumptions),
    )


def _distinct(products: Iterable[MatrixProduct]) -> dict[tuple[int, int, int, int], int]:
    """How often each shape (T, K, N, inputs) is computed. inputs: the number of distinct inputs."""
    times: dict[tuple[int, int, int, int], int] = {}
    for product in products:
        if product.sites:
            key = (product.outputs_each, product.depth, product.filters, product.inputs)
            times[key] = times.get(key, 0) + product.repeats
    return times


def _totals(
    rows: NDArray[np.int64],
    columns: NDArray[np.int64],
    kinds: dict[tuple[int, int, int, int], int],
    accelerator: Accelerator,
    element: Element,
) -> tuple[Floats, Floats, Floats]:
    """Three arrays [P], for P arrays of elements: cycles of the network, picojoules of all memories, and
    sites.
    """
    shapes = np.array(list(kinds), dtype=np.float64).reshape(-1, 4).T
    times = np.array(list(kinds.values()), dtype=np.float64)
    made = [
        _block(rows[part], columns[part], shapes, times, accelerator, element)
        for part in _parts(len(rows), max(_CELLS // max(len(times), 1), 1))
    ]
    cycles, memory_pj = (np.concatenate(column) for column in zip(*made, strict=True))
    sites = float(np.sum(shapes[0] * shapes[1] * shapes[2] * times)) if len(times) else 0.0
    return cycles, memory_pj, np.full(len(rows), sites)


def _block(
    rows: NDArray[np.int64],
    columns: NDArray[np.int64],
    shapes: Floats,
    times: Floats,
    accelerator: Accelerator,
    element: Element,
) -> tuple[Floats, Floats]:
    arrays, layers = len(rows), len(times)
    tiled = [np.tile(size, arrays) for size in shapes]
    sides = [np.repeat(side.astype(np.float64), layers) for side in (rows, columns)]
    cost = shape_cost(Shape(*tiled, *sides), accelerator, element, MANY_LAYERS)
    memory = sum(pj for level, pj in cost.energy_pj.items() if level != ELEMENTS)
    return tuple(  # type: ignore[return-value]
        np.broadcast_to(column, arrays * layers).reshape(arrays, layers) @ times
        for column in (cost.cycles, memory)
    )


def _parts(n: int, size: int) -> Iterator[slice]:
    for start in range(0, n, size):
        yield slice(start, start + size)


def fronts(designs: Designs, chosen: NDArray[np.bool_]) -> list[int]:
    """The Pareto front of the chosen designs, the fastest first: no other design with the same element and
    format is better in both seconds and energy. Of equal designs the smallest stands for all.
    """
    found: list[int] = []
    for e in range(len(designs.space.kinds)):
        for f in range(len(designs.space.number_formats)):
            own = np.flatnonzero(chosen & (designs.kind == e) & (designs.number_format == f))
            if len(own):
                found += _front(designs, own)
    return found


def _front(designs: Designs, own: NDArray[np.int64]) -> list[int]:
    area = np.nan_to_num(designs.area_mm2[own], nan=np.inf)
    order = own[np.lexsort((area, designs.energy_j[own], designs.seconds[own]))]
    energy = designs.energy_j[order]
    best_before = np.concatenate(([np.inf], np.minimum.accumulate(energy)[:-1]))
    return [int(i) for i in order[energy < best_before]]
