"""All kinds of layers on all processors at once: arrays in, arrays out. Equal to `estimate` row by row.

Letters: A architectures (counted variants), L kinds of layers, P processors, K operations (class, format).
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from addercost.arithmetic import OpClass
from addercost.cost.charges import one_at_a_time
from addercost.cost.energy import PJ, operation_energy
from addercost.cost.estimate import latency_cycles
from addercost.cost.lowering import Key
from addercost.hardware.schema import Cpu, EnergyTable
from addercost.sweep.array_bounds import throughput_cycles
from addercost.sweep.tally import LayerKind, Tally

if TYPE_CHECKING:
    from scipy.sparse import csr_array

Floats = NDArray[np.float64]
Whole = NDArray[np.int64]


@dataclass(frozen=True)
class LayerTable:
    """Kinds of layers as columns. counts: [L, K], mac_sites: [L] and n_bytes: [L], of int64 and so exact."""

    kinds: tuple[LayerKind, ...]
    keys: tuple[Key, ...]
    counts: Whole
    mac_sites: Whole
    n_bytes: Whole

    def per_class(self) -> dict[OpClass, Whole]:
        """[L] by operation class, over all formats."""
        sums: dict[OpClass, Whole] = {}
        for column, (op_class, _) in enumerate(self.keys):
            so_far = sums.get(op_class)
            sums[op_class] = self.counts[:, column] + (0 if so_far is None else so_far)
        return sums


def layer_table(kinds: Sequence[LayerKind]) -> LayerTable:
    order = {op_class: i for i, op_class in enumerate(OpClass)}
    found = {(op_class, f) for kind in kinds for op_class, f, _ in kind.counts}
    keys = tuple(sorted(found, key=lambda key: (order[key[0]], key[1])))
    at = {key: column for column, key in enumerate(keys)}
    entries = [(row, at[c, f], n) for row, kind in enumerate(kinds) for c, f, n in kind.counts]
    counts = np.zeros((len(kinds), len(keys)), dtype=np.int64)
    if entries:
        rows, columns, values = zip(*entries, strict=True)
        counts[list(rows), list(columns)] = values
    return LayerTable(
        tuple(kinds),
        keys,
        counts,
        np.array([kind.mac_sites for kind in kinds], dtype=np.int64),
        np.array([kind.n_bytes for kind in kinds], dtype=np.int64),
    )


def occurrences(tallies: Sequence[Tally], kinds: int) -> csr_array:
    """[A, L] of how often each of L kinds occurs in each architecture."""
    from scipy.sparse import csr_array

    ends = np.cumsum([0, *(len(tally.kinds) for tally in tallies)])
    columns = np.fromiter(itertools.chain.from_iterable(t.kinds for t in tallies), np.int64, ends[-1])
    times = np.fromiter(itertools.chain.from_iterable(t.times for t in tallies), np.int64, ends[-1])
    return csr_array((times, columns, ends), shape=(len(tallies), kinds))


def layer_cycles(table: LayerTable, cpus: Sequence[Cpu], model: str) -> tuple[Floats, NDArray[np.bool_]]:
    """[L, P] cycles by a cost model, and [L, P] whether each processor has every figure they need."""
    if model == "latency-sum":
        return _latency_sum(table, cpus)
    columns = [throughput_cycles(table, cpu, with_memory=model == "roofline") for cpu in cpus]
    empty = np.zeros((len(table.kinds), 0))
    if not columns:
        return empty, empty.astype(bool)
    return np.stack([c for c, _ in columns], axis=1), np.stack([w for _, w in columns], axis=1)


def _latency_sum(table: LayerTable, cpus: Sequence[Cpu]) -> tuple[Floats, NDArray[np.bool_]]:
    """[L, K] @ [K, P]: one operation, one instruction, its latency."""
    latencies = np.zeros((len(table.keys), len(cpus)))
    unknown = np.zeros((len(table.keys), len(cpus)))
    for p, cpu in enumerate(cpus):
        for k, (op_class, number_format) in enumerate(table.keys):
            charge = one_at_a_time(cpu, op_class, number_format, prefer=cpu.preferred_float_form)
            latency = latency_cycles(cpu, charge.instruction) if charge is not None else None
            latencies[k, p] = latency or 0.0
            unknown[k, p] = latency is None
    return table.counts @ latencies, (table.counts > 0).astype(np.float64) @ unknown == 0


def layer_energies(table: LayerTable, energies: Sequence[EnergyTable]) -> tuple[Floats, NDArray[np.bool_]]:
    """[L, E] joules of arithmetic on each node, and [L, E] whether every figure was there."""
    picojoules = np.zeros((len(table.keys), len(energies)))
    unknown = np.zeros((len(table.keys), len(energies)))
    for e, energy in enumerate(energies):
        for k, (op_class, number_format) in enumerate(table.keys):
            charge = operation_energy(energy, op_class, number_format)
            picojoules[k, e] = charge.energy_pj if charge is not None else 0.0
            unknown[k, e] = charge is None
    return table.counts @ picojoules * PJ, (table.counts > 0).astype(np.float64) @ unknown == 0
