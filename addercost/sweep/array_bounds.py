"""The throughput and roofline models over arrays of layers: `Lowerer` and `ThroughputLimits`, [L] at a time.

Layers with the same arithmetic and the same operations (a few dozen groups however many layers there are) are
lowered together; within a group every step of `Lowerer` is one array operation.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from addercost.arithmetic import Arithmetic, OpClass
from addercost.cost.bounds import all_bounds
from addercost.cost.estimate import bandwidth_bytes_per_s
from addercost.cost.lowering import ACCUMULATORS, Key, Lowerer, Lowering
from addercost.hardware.schema import Cpu, Instruction

if TYPE_CHECKING:
    from addercost.sweep.costing import LayerTable

Floats = NDArray[np.float64]
Work = list[tuple[Instruction, Floats]]


def throughput_cycles(table: LayerTable, cpu: Cpu, with_memory: bool) -> tuple[Floats, NDArray[np.bool_]]:
    """[L] cycles, the largest limit of each layer, and [L] whether every operation was charged.

    with_memory: the time its bytes take through the memory's bandwidth is one more limit.
    """
    lowerer = Lowerer(cpu, Lowering.SIMD)
    cycles = np.zeros(len(table.kinds))
    whole = np.ones(len(table.kinds), dtype=bool)
    for arithmetic, members in _groups(table):
        left = {
            key: table.counts[members, column].astype(np.float64)
            for column, key in enumerate(table.keys)
            if table.counts[members[0], column] > 0
        }
        work, missing = _lowered(lowerer, left, arithmetic, table.mac_sites[members].astype(np.float64))
        cycles[members] = _binding(cpu, work, len(members))
        whole[members] = ~missing
    if with_memory:
        bandwidth, clock = bandwidth_bytes_per_s(cpu), cpu.clock_hz
        if bandwidth is None or clock is None:
            return cycles, np.zeros_like(whole)
        cycles = np.maximum(cycles, table.n_bytes / bandwidth * clock)
    return cycles, whole


def _groups(table: LayerTable) -> Iterator[tuple[Arithmetic | None, NDArray[np.intp]]]:
    """Row numbers of layers that have the same arithmetic, the same operations, and sites or none."""
    known = [None, *Arithmetic]
    signature = np.column_stack(
        [
            table.counts > 0,
            table.mac_sites > 0,
            np.array([known.index(a and Arithmetic(a)) for a, *_ in table.kinds], dtype=np.int64),
        ]
    ).astype(np.int64)
    patterns, group = np.unique(signature, axis=0, return_inverse=True)
    for g, pattern in enumerate(patterns):
        yield known[pattern[-1]], np.flatnonzero(group.reshape(-1) == g)


def _lowered(
    lowerer: Lowerer, left: dict[Key, Floats], arithmetic: Arithmetic | None, sites: Floats
) -> tuple[Work, NDArray[np.bool_]]:
    """`Lowerer.lower` for every layer of a group: (instruction, executions [L]) and what could not be
    charged.
    """
    work: Work = []
    missing = np.zeros(len(sites), dtype=bool)
    adder_sites = sites
    for op_class, f in list(left):
        key = op_class, f
        formats = ACCUMULATORS.get(f, (f,))
        if op_class is OpClass.XNOR:
            bits = [other for other in left if other[0] is OpClass.POPCOUNT]
            n = np.maximum(left[key], sum((left[other] for other in bits), np.zeros(len(sites))))
            if _fused(lowerer, Arithmetic.XNOR, f, n, work):
                left[key] = np.zeros(len(sites))
                _take(left, OpClass.POPCOUNT, tuple(other for _, other in bits), n)
        elif op_class is OpClass.SHIFT and arithmetic is Arithmetic.SHIFT:
            n = left[key]
            if _fused(lowerer, Arithmetic.SHIFT, f, n, work):
                left[key] = np.zeros(len(sites))
                _take(left, OpClass.ADD, formats, n)
        elif op_class is OpClass.MUL:
            additions = [left[OpClass.ADD, other] for other in formats if (OpClass.ADD, other) in left]
            n = np.minimum(left[key], sum(additions, np.zeros(len(sites))))
            if n.any() and _fused(lowerer, Arithmetic.MAC, f, n, work):
                left[key] = left[key] - n
                _take(left, OpClass.ADD, formats, n)
        elif (
            op_class is OpClass.ADD
            and arithmetic is Arithmetic.ADDER
            and adder_sites.any()
            and _fused(lowerer, Arithmetic.ADDER, f, adder_sites, work)
        ):
            _take(left, OpClass.ADD, formats, 2 * adder_sites)
            _take(left, OpClass.ABS, formats, adder_sites)
            adder_sites = np.zeros(len(sites))
    for (op_class, f), n in left.items():
        charge = lowerer.charge(op_class, f)
        # As in Lowerer: counting bits outside the binary layer's sequence is not worth an instruction each.
        if charge is None or op_class is OpClass.POPCOUNT:
            missing |= n > 0
        else:
            work.append((charge.instruction, n / charge.ops_per_instruction))
    return work, missing


def _fused(lowerer: Lowerer, arithmetic: Arithmetic, f: str, n: Floats, work: Work) -> bool:
    sequence = lowerer.sequence(arithmetic, f)
    if sequence is None:
        return False
    work.extend((step.instruction, step.times * n / sequence.sites) for step in sequence.steps)
    return True


def _take(left: dict[Key, Floats], op_class: OpClass, formats: tuple[str, ...], n: Floats) -> None:
    for f in formats:
        if (op_class, f) in left:
            taken = np.minimum(n, left[op_class, f])
            left[op_class, f] = left[op_class, f] - taken
            n = n - taken


def _binding(cpu: Cpu, work: Work, layers: int) -> Floats:
    """[L]: the largest limit. Every limit is linear in the executions of a given set of instructions."""
    most = np.zeros(layers)
    if not work:
        return most
    executions = np.stack([n for _, n in work])
    patterns, group = np.unique(executions > 0, axis=1, return_inverse=True)
    for g in range(patterns.shape[1]):
        used = np.flatnonzero(patterns[:, g])
        members = np.flatnonzero(group.reshape(-1) == g)
        if used.size:
            limits = _coefficients(cpu, tuple(work[i][0] for i in used))
            most[members] = (limits @ executions[np.ix_(used, members)]).max(axis=0, initial=0.0)
    return most


def _coefficients(cpu: Cpu, rows: tuple[Instruction, ...]) -> Floats:
    """[limits, rows]: what one execution of each instruction alone adds to each limit."""
    columns: list[Mapping[int, float]] = []
    for i in range(len(rows)):
        alone = all_bounds(cpu, [(row, int(i == j)) for j, row in enumerate(rows)])
        columns.append(dict(enumerate(bound.cycles for bound in alone)))
    return np.array([[column[limit] for column in columns] for limit in columns[0]]).reshape(-1, len(rows))
