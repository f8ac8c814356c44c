"""Cycles of a matrix product on an array, and how often each operand passes the array's edge, in closed form.

A product has T output pixels, K terms of a sum and N filters. The array has r rows and c columns. A fold is
the part of two dimensions that fits on the array at once; the array computes one fold after another, and a
remainder takes a whole fold. The third dimension moves through a fold. It may be cut into chunks, and the
array fills anew for each chunk.

Cycles of a systolic array. With one chunk they equal the compute cycles of SCALE-Sim 3.0.0 (MIT):
    weight-stationary   ⌈K/r⌉·⌈N/c⌉·(T + chunks·(2r + c - 2)) - 1    r cycles load the filters of a fold
    output-stationary   ⌈T/r⌉·⌈N/c⌉·(K + chunks·(r + c - 2)) - 1
    input-stationary    ⌈K/r⌉·⌈T/c⌉·(N + chunks·(2r + c - 2)) - 1
A vector of c lanes keeps c sums and needs no cycles to fill: T·⌈N/c⌉·K.

All sizes are columns (`addercost.cost.columns`): plain numbers, or NumPy arrays for many layers and designs.
"""

from __future__ import annotations

from typing import NamedTuple

from addercost.cost.columns import Column, Columns
from addercost.hardware.schema.accelerator import Dataflow

MOVING: dict[Dataflow, str] = {"weight-stationary": "t", "output-stationary": "k", "input-stationary": "n"}
"""The dimension that moves through a fold. The other two are spread over rows and columns."""


class Passes(NamedTuple):
    """How many numbers pass between the array and the memories that feed it, and how often a whole operand
    passes.

    output_writes counts partial sums. Each output is read again before every write but its first.
    live_outputs: the most sums that are unfinished at a time.
    """

    input_reads: Column
    filter_reads: Column
    output_writes: Column
    output_reads: Column
    input_passes: Column
    filter_passes: Column
    live_outputs: Column


def folds(size: Column, side: Column) -> Column:
    return -(-size // side)


def sides(dataflow: Dataflow, r: Column, c: Column) -> dict[str, Column]:
    """How much of each dimension a fold takes: a side of the array, or the shortest chunk of the dimension
    that moves. A chunk is at least r + c long, so that filling the array takes no longer than computing.
    """
    if dataflow == "weight-stationary":
        return {"t": r + c, "k": r, "n": c}
    if dataflow == "output-stationary":
        return {"t": r, "k": r + c, "n": c}
    return {"t": c, "k": r, "n": r + c}


def systolic_cycles(
    dataflow: Dataflow, t: Column, k: Column, n: Column, r: Column, c: Column, chunks: Column = 1
) -> Column:
    if dataflow == "weight-stationary":
        return folds(k, r) * folds(n, c) * (t + chunks * (2 * r + c - 2)) - 1
    if dataflow == "output-stationary":
        return folds(t, r) * folds(n, c) * (k + chunks * (r + c - 2)) - 1
    return folds(k, r) * folds(t, c) * (n + chunks * (2 * r + c - 2)) - 1


def vector_cycles(t: Column, k: Column, n: Column, lanes: Column) -> Column:
    return t * folds(n, lanes) * k


def passes(
    dataflow: Dataflow,
    t: Column,
    k: Column,
    n: Column,
    r: Column,
    c: Column,
    columns: Columns,
    chunks: Column = 1,
) -> Passes:
    """The reuse that the dataflow gives. An operand that moves passes once for each fold that needs it. The
    stationary operand passes once for each chunk. A vector is an output-stationary array of one row.
    """
    if dataflow == "weight-stationary":
        again = folds(k, r)
        inputs, filters = folds(n, c), chunks
        live = t * columns.minimum(n, c)
    elif dataflow == "output-stationary":
        again = chunks
        inputs, filters = folds(n, c), folds(t, r)
        live = 0 * t
    else:
        again = folds(k, r)
        inputs, filters = chunks, folds(t, c)
        live = n * columns.minimum(t, c)
    return Passes(t * k * inputs, k * n * filters, t * n * again, t * n * (again - 1), inputs, filters, live)
