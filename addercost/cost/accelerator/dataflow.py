"""Cycles of a matrix product on an array, and how often each operand passes the array's edge, in closed form.

T output pixels, K terms of a sum, N filters; r rows, c columns. The array computes one fold after another; a
remainder takes a whole fold.

Systolic, exact against SCALE-Sim 3.0.0 (MIT) in compute cycles:
    weight-stationary   ⌈K/r⌉·⌈N/c⌉·(T + 2r + c - 2) - 1    r cycles load the filters of a fold
    output-stationary   ⌈T/r⌉·⌈N/c⌉·(K + r + c - 2) - 1
    input-stationary    ⌈K/r⌉·⌈T/c⌉·(N + 2r + c - 2) - 1
A vector of c lanes keeps c sums and needs no cycles to fill: T·⌈N/c⌉·K.
"""

from __future__ import annotations

from typing import NamedTuple

from addercost.hardware.schema.accelerator import Dataflow


class Passes(NamedTuple):
    """Elements that pass between the array and the memories that feed it, and how often all of an operand is
    fetched anew. output_writes are partial sums; all but the first of each output is read again before.
    """

    input_reads: int
    filter_reads: int
    output_writes: int
    output_reads: int
    input_passes: int
    filter_passes: int
    live_outputs: int


def _folds(size: int, side: int) -> int:
    return -(-size // side)


def systolic_cycles(dataflow: Dataflow, t: int, k: int, n: int, r: int, c: int) -> int:
    if dataflow == "weight-stationary":
        return _folds(k, r) * _folds(n, c) * (t + 2 * r + c - 2) - 1
    if dataflow == "output-stationary":
        return _folds(t, r) * _folds(n, c) * (k + r + c - 2) - 1
    return _folds(k, r) * _folds(t, c) * (n + 2 * r + c - 2) - 1


def vector_cycles(t: int, k: int, n: int, lanes: int) -> int:
    return t * _folds(n, lanes) * k


def passes(dataflow: Dataflow, t: int, k: int, n: int, r: int, c: int) -> Passes:
    """The reuse that the dataflow gives: each operand that is not stationary passes once for each fold that
    needs it. A vector is the output-stationary array of one row."""
    if dataflow == "weight-stationary":
        again = _folds(k, r)
        inputs, filters = _folds(n, c), 1
        live = t * min(n, c)
    elif dataflow == "output-stationary":
        again = 1
        inputs, filters = _folds(n, c), _folds(t, r)
        live = 0
    else:
        again = _folds(k, r)
        inputs, filters = 1, _folds(t, c)
        live = n * min(t, c)
    return Passes(t * k * inputs, k * n * filters, t * n * again, t * n * (again - 1), inputs, filters, live)
