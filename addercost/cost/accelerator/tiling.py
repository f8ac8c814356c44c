"""The bytes that a layer moves between DRAM, buffers and the array, by the best of a few ways to use the
buffers.

*Streamed*: an operand is fetched once if its buffer holds all of it, and otherwise once for each of its
passes. Unfinished sums stay in their buffer if it holds them, and pass through DRAM otherwise.

*Tiled*: the layer is cut into tiles of T × K × N. The buffers hold the operands and sums of one tile
together. The innermost of the three loops over tiles decides what is kept, and how often the rest is fetched:

    innermost   inputs      filters     sums
    k           ⌈N/tile⌉    ⌈T/tile⌉    written once
    n           once        ⌈T/tile⌉    written ⌈K/tile⌉ times, read again in between
    t           ⌈N/tile⌉    once        as with n

These are the three reuse schemes of SmartShuttle (J. Li et al., DATE 2018), with tiles chosen for each layer
as in C. Zhang et al., Optimizing FPGA-based Accelerator Design (FPGA 2015). X. Yang et al. find that tiles
matter more than the dataflow (Interstellar, ASPLOS 2020, arXiv:1809.04070). Tiles are whole folds of the
array. Their sizes are not searched: the sides of a tile grow one after the other, and the first takes a share
of the free space. A search of all tiles and loop orders for 1,484 small random layers found the same DRAM
traffic in nine of ten; ours was 1.11 times as much at worst.

Two approximations are made. The rim that windows of neighbouring tiles share is fetched once. No space is
kept for the next tile while one is computed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product as combinations
from typing import NamedTuple

from addercost.cost.accelerator.dataflow import MOVING, folds, passes, sides
from addercost.cost.accelerator.element import Element
from addercost.cost.columns import Column, Columns
from addercost.hardware.schema.accelerator import Accelerator, AcceleratorMemory, Operand

OPERANDS: tuple[Operand, ...] = ("input", "filter", "output")
_DIMENSIONS: dict[Operand, tuple[str, str]] = {
    "input": ("t", "k"),
    "filter": ("k", "n"),
    "output": ("t", "n"),
}
_KEPT_BY_INNERMOST: dict[str, Operand] = {"k": "output", "n": "input", "t": "filter"}
_SHARES = (1.0, 0.5, 0.25, 0.0625)


class Shape(NamedTuple):
    """The sizes of a matrix product and of an array, as columns; see `MatrixProduct` and `Accelerator`."""

    t: Column
    k: Column
    n: Column
    inputs: Column
    rows: Column
    columns: Column


class Traffic(NamedTuple):
    """Bytes of each operand, in the order of `OPERANDS`: `edge` across the array's edge, `dram` from or to
    DRAM. chunks: into how many pieces the dimension that moves through the array is cut.
    """

    chunks: Column
    edge: tuple[Column, Column, Column]
    dram: tuple[Column, Column, Column]


def serving(accelerator: Accelerator, role: str, operand: Operand) -> AcceleratorMemory | None:
    for memory in accelerator.memories:
        if memory.role == role and operand in memory.operands:
            return memory
    return None


def best_traffic(shape: Shape, accelerator: Accelerator, element: Element, columns: Columns) -> Traffic:
    """The traffic of the way that takes least energy in the memories. Of equal ways it is the first."""
    first, *others = _ways(shape, accelerator, element, columns)
    best, least = first[1], _energy_pj(first[1], accelerator)
    for fits, way in others:
        energy = _energy_pj(way, accelerator)
        better = fits & (energy < least)
        least = columns.choose(better, energy, least)
        best = Traffic(
            columns.choose(better, way.chunks, best.chunks),
            _chosen(columns, better, way.edge, best.edge),
            _chosen(columns, better, way.dram, best.dram),
        )
    return best


def _chosen(
    columns: Columns, better: Column, one: Sequence[Column], other: Sequence[Column]
) -> tuple[Column, Column, Column]:
    inputs, filters, outputs = (columns.choose(better, a, b) for a, b in zip(one, other, strict=True))
    return inputs, filters, outputs


def _energy_pj(way: Traffic, accelerator: Accelerator) -> Column:
    energy: Column = 0
    for operand, edge, dram in zip(OPERANDS, way.edge, way.dram, strict=True):
        for role, n_bytes in (("buffer", edge + dram), ("dram", dram)):
            memory = serving(accelerator, role, operand)
            if memory is not None:
                energy = energy + n_bytes * memory.energy_pj_per_byte
    return energy


def _ways(
    shape: Shape, accelerator: Accelerator, element: Element, columns: Columns
) -> Iterator[tuple[Column, Traffic]]:
    """(whether the buffers hold what this way keeps, the traffic) of each way. The first way always fits."""
    layer = _Layer(shape, accelerator, element, columns)
    buffered = [operand for operand in OPERANDS if operand in layer.buffers]
    for count in range(len(buffered) + 1):
        for kept in combinations((False, True), repeat=len(buffered)):
            if sum(kept) == count:
                yield layer.streamed({name for name, keeps in zip(buffered, kept, strict=True) if keeps})
    if not buffered:
        return
    for innermost, operand in _KEPT_BY_INNERMOST.items():
        one, other = _DIMENSIONS[operand]
        for share in _SHARES:
            yield layer.tiled(innermost, (one, other, innermost), share)
            yield layer.tiled(innermost, (other, one, innermost), share)


class _Layer:
    def __init__(self, shape: Shape, accelerator: Accelerator, element: Element, columns: Columns) -> None:
        self.shape, self.columns, self.dataflow = shape, columns, accelerator.dataflow
        self.size = {"t": shape.t, "k": shape.k, "n": shape.n}
        self.bytes_each: dict[Operand, float] = {
            "input": element.operand_bytes,
            "filter": element.filter_bytes,
            "output": element.sum_bytes,
        }
        self.distinct: dict[Operand, Column] = {
            "input": shape.inputs * element.operand_bytes,
            "filter": shape.k * shape.n * element.filter_bytes,
            "output": shape.t * shape.n * element.operand_bytes,
        }
        found = {operand: serving(accelerator, "buffer", operand) for operand in OPERANDS}
        self.buffers = {operand: memory for operand, memory in found.items() if memory is not None}
        self.side = sides(self.dataflow, shape.rows, shape.columns)

    def streamed(self, kept: set[Operand]) -> tuple[Column, Traffic]:
        shape = self.shape
        moved = passes(self.dataflow, *shape[:3], shape.rows, shape.columns, self.columns)
        needs = {
            "input": self.distinct["input"],
            "filter": self.distinct["filter"],
            "output": moved.live_outputs * self.bytes_each["output"],
        }
        spilled = 0 if "output" in kept else 2 * moved.output_reads * self.bytes_each["output"]
        dram = {
            "input": self.distinct["input"] * (1 if "input" in kept else moved.input_passes),
            "filter": self.distinct["filter"] * (1 if "filter" in kept else moved.filter_passes),
            "output": self.distinct["output"] + spilled,
        }
        fits = self._fit({operand: needs[operand] for operand in kept})
        return fits, self._traffic(1 + 0 * shape.t, dram)

    def tiled(self, innermost: str, growth: Sequence[str], share: float) -> tuple[Column, Traffic]:
        """The way by tiles whose sides grow in the order of `growth`. The first side takes `share` of the
        free space.
        """
        tile = {name: self.columns.minimum(self.size[name], self.side[name]) for name in "tkn"}
        fits = self._fit(self._needs(tile))
        for i, name in enumerate(growth):
            tile[name] = self._grown(tile, name, share if i == 0 else 1.0)
        trips = {name: folds(self.size[name], tile[name]) for name in "tkn"}
        again = 0 if innermost == "k" else 2 * (trips["k"] - 1)
        outputs = self.size["t"] * self.size["n"] * self.bytes_each["output"]
        dram = {
            "input": self.distinct["input"] * (1 if innermost == "n" else trips["n"]),
            "filter": self.distinct["filter"] * (1 if innermost == "t" else trips["t"]),
            "output": self.distinct["output"] + again * outputs,
        }
        return fits, self._traffic(trips[MOVING[self.dataflow]], dram)

    def _traffic(self, chunks: Column, dram: dict[str, Column]) -> Traffic:
        """The traffic of one way. An operand without a buffer passes from DRAM straight to the array's
        edge.
        """
        shape = self.shape
        moved = passes(self.dataflow, *shape[:3], shape.rows, shape.columns, self.columns, chunks)
        edge = {
            "input": moved.input_reads * self.bytes_each["input"],
            "filter": moved.filter_reads * self.bytes_each["filter"],
            "output": (moved.output_writes + moved.output_reads) * self.bytes_each["output"],
        }
        through = {name: dram[name] if name in self.buffers else edge[name] for name in OPERANDS}
        return Traffic(
            chunks,
            (edge["input"], edge["filter"], edge["output"]),
            (through["input"], through["filter"], through["output"]),
        )

    def _needs(self, tile: dict[str, Column]) -> dict[Operand, Column]:
        """Bytes of each operand's tile."""
        return {
            operand: tile[dims[0]] * tile[dims[1]] * self.bytes_each[operand]
            for operand, dims in _DIMENSIONS.items()
        }

    def _fit(self, needs: dict[Operand, Column]) -> Column:
        """Whether every buffer holds `needs` (bytes) of the operands that it serves."""
        fits: Column = self.shape.t > 0
        for memory, operands in self._shared():
            if memory.size_bytes is not None:
                fits = fits & (sum(needs.get(operand, 0) for operand in operands) <= memory.size_bytes)
        return fits

    def _shared(self) -> Iterator[tuple[AcceleratorMemory, list[Operand]]]:
        """Each buffer with the operands that it serves."""
        for memory in dict.fromkeys(self.buffers.values()):
            yield memory, [operand for operand, serves in self.buffers.items() if serves is memory]

    def _grown(self, tile: dict[str, Column], name: str, share: float) -> Column:
        """The longest side `name`, in whole folds, with which the tile still fits into the buffers."""
        before, longest = tile[name], self.size[name]
        for memory, operands in self._shared():
            grows = [operand for operand in operands if name in _DIMENSIONS[operand]]
            if memory.size_bytes is None or not grows:
                continue
            needs = self._needs(tile)
            each = sum(needs[operand] for operand in grows) / before
            free = memory.size_bytes - sum(needs[operand] for operand in operands)
            longest = self.columns.minimum(longest, before + free * share / each)
        whole = self.columns.maximum(before, longest // self.side[name] * self.side[name])
        return self.columns.choose(longest >= self.size[name], self.size[name], whole)
