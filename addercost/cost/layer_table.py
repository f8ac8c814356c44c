"""Costs many kinds of layers on many targets at once, as arrays, by the same rules as for one layer.

Letters: L kinds of layers, K operations (class and number format), P targets, E energy tables.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from addercost.arithmetic import Arithmetic, OpClass
from addercost.cost.arrays import MANY_LAYERS, Floats
from addercost.cost.cost_model import CostModel, far_part
from addercost.cost.energy import PJ, arithmetic_energy, energy_charges, memory_level
from addercost.cost.engine import Engine
from addercost.cost.layers import Key, LayerKind, Moved, moved_by, operation_keys
from addercost.cost.lowering import Lowered, Operations
from addercost.cost.models import cost_model_named
from addercost.cost.target import Target
from addercost.counts.runs import Run
from addercost.hardware.schema.energy import EnergyTable

Integers = NDArray[np.int64]


@dataclass(frozen=True)
class LayerTable:
    """Kinds of layers as arrays. counts: [L, K], mac_sites: [L] and n_bytes: [L], of int64 and so exact."""

    kinds: tuple[LayerKind, ...]
    keys: tuple[Key, ...]
    counts: Integers
    mac_sites: Integers
    n_bytes: Integers

    def per_class(self) -> dict[OpClass, Integers]:
        """[L] by operation class, over all formats."""
        sums: dict[OpClass, Integers] = {}
        for k, (op_class, _) in enumerate(self.keys):
            so_far = sums.get(op_class)
            sums[op_class] = self.counts[:, k] + (0 if so_far is None else so_far)
        return sums

    def operations(self) -> Operations:
        """The operations of all kinds as columns, for the engine."""
        arithmetics = np.array([kind.arithmetic or "" for kind in self.kinds])
        return Operations(
            {key: self.counts[:, k].astype(np.float64) for k, key in enumerate(self.keys)},
            self.mac_sites.astype(np.float64),
            {arithmetic: (arithmetics == arithmetic.value).astype(np.float64) for arithmetic in Arithmetic},
        )

    def moved(self, multiprocessors: int | None = None) -> Moved:
        """The bytes that the layers move, as columns. multiprocessors: the number of the GPU's
        multiprocessors, None on a CPU.
        """
        moved = Moved(self.n_bytes)
        runs = [kind.runs for kind in self.kinds if kind.runs is not None]
        if len(runs) == len(self.kinds):
            eager, fused = (
                Run(*np.array(modes, dtype=np.float64).reshape(-1, 2).T)
                for modes in ([r.eager for r in runs], [r.fused for r in runs])
            )
            moved = moved._replace(eager=eager, fused=fused)
        if multiprocessors is None:
            return moved
        one_by_one = [moved_by(kind, multiprocessors) for kind in self.kinds]
        return moved._replace(
            waves=np.array([each.waves for each in one_by_one], dtype=np.float64),
            reread_bytes=np.array([each.reread_bytes for each in one_by_one], dtype=np.float64),
        )


def layer_table(kinds: Sequence[LayerKind]) -> LayerTable:
    keys = operation_keys(kind.counts for kind in kinds)
    at = {key: k for k, key in enumerate(keys)}
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


class NetworkCosts(NamedTuple):
    """The costs of A networks on P targets, [A, P] each. low_s, high_s: the ends of their intervals in
    seconds; None for a cost model without intervals.
    """

    cycles: Floats
    low_s: Floats | None = None
    high_s: Floats | None = None


class FarWeights(NamedTuple):
    """The additional time of layers whose weights are in no cache, [L, P] each. weights: their bytes, [L].
    half_bytes: [P], how many bytes of weights a network has of which half are in no cache.
    """

    cycles: Floats
    low_s: Floats
    high_s: Floats
    weights: Floats
    half_bytes: Floats


class Intervals(NamedTuple):
    """What a layer adds to the ends of a network's interval, in seconds, [L, P] each. far: what a layer adds
    in a network whose weights do not fit into caches.
    """

    low_s: Floats
    high_s: Floats
    far: FarWeights


class LayerCosts(NamedTuple):
    """The costs of L kinds of layers on P targets, [L, P] each. complete: whether the target has every figure
    for the layer. intervals: None for a cost model without intervals.
    """

    cycles: Floats
    complete: NDArray[np.bool_]
    intervals: Intervals | None = None

    def networks(self, times: Any) -> NetworkCosts:
        """The costs of networks. times: how often each kind of layer occurs in each network, [A, L], sparse
        or dense.
        """
        if self.intervals is None:
            return NetworkCosts(times @ self.cycles)
        low_s, high_s, far = self.intervals
        part = far_part((times @ far.weights)[:, None], far.half_bytes)
        columns = zip((self.cycles, low_s, high_s), (far.cycles, far.low_s, far.high_s), strict=True)
        return NetworkCosts(*(times @ near + part * (times @ beyond) for near, beyond in columns))


def layer_costs(table: LayerTable, targets: Sequence[Target], model: str) -> LayerCosts:
    """The costs of all kinds on all targets by the named cost model. Raises ArgumentError for an unknown
    model.
    """
    cost_model = cost_model_named(model)
    shape = len(table.kinds), len(targets)
    cycles, complete = np.zeros(shape), np.ones(shape, dtype=bool)
    if cost_model.predict is not None:
        return _predicted(table, targets, cost_model)
    operations = table.operations()
    for p, target in enumerate(targets):
        moved = table.moved(target.multiprocessors)
        _cost(operations, moved, target, cost_model, cycles[:, p], complete[:, p])
    return LayerCosts(cycles, complete)


def _predicted(table: LayerTable, targets: Sequence[Target], model: CostModel) -> LayerCosts:
    """The costs by a model that predicts kernels. The model must be usable on all targets, and kinds must
    have kernels.
    """
    assert model.predict is not None
    found = [model.predict(target, [kind.kernels for kind in table.kinds]) for target in targets]
    clocks = np.array([target.clock_hz or np.nan for target in targets])
    shape = len(targets), len(table.kinds), 3

    def columns(which: str) -> tuple[Floats, Floats, Floats]:
        """(cycles, low_s, high_s) of all layers, [L, P] each. which: "near" or "far"."""
        seconds = np.array([[getattr(part, which) for part in one.parts] for one in found]).reshape(shape)
        value, low_s, high_s = np.moveaxis(seconds, (0, 1, 2), (2, 1, 0))
        return value * clocks, low_s, high_s

    weights = np.array([part.weights for part in found[0].parts] if found else [], dtype=np.float64)
    half_bytes = np.array([one.half_bytes for one in found])
    complete = np.array([[not lacking for lacking in one.missing] for one in found], dtype=bool).T
    cycles, low_s, high_s = columns("near")
    far = FarWeights(*columns("far"), weights, half_bytes)
    return LayerCosts(cycles, complete.reshape(cycles.shape), Intervals(low_s, high_s, far))


def _cost(
    operations: Operations,
    moved: Moved,
    target: Target,
    model: CostModel,
    cycles: Floats,
    complete: NDArray[np.bool_],
) -> None:
    """Fills `cycles` [L] and `complete` [L]."""
    engine = Engine(target, model, columns=MANY_LAYERS)
    lowered = engine.lower(operations)
    if model.is_serial:
        # A sum over executions is the same sum where some of them are 0.
        costed = engine.cost(lowered, moved)
        cycles[:] = costed.cycles
        for n in costed.missing.values():
            complete &= n == 0
        return
    for members, share in _alike(lowered, len(moved.n_bytes)):
        costed = engine.cost(share, _of(moved, members))
        cycles[members] = costed.cycles
        complete[members] = not costed.missing


def _of(moved: Moved, members: NDArray[np.intp]) -> Moved:
    """What some of the layers move."""
    return Moved(
        moved.n_bytes[members],
        _part_of(moved.eager, members),
        _part_of(moved.fused, members),
        *(column if np.isscalar(column) else column[members] for column in (moved.waves, moved.reread_bytes)),
    )


def _part_of(run: Any, members: NDArray[np.intp]) -> Run | None:
    return None if run is None else Run(run.calls[members], run.n_bytes[members])


def _alike(lowered: Lowered, layers: int) -> Iterator[tuple[NDArray[np.intp], Lowered]]:
    """Groups of layers that execute the same instructions and lack figures for the same operations:
    (positions of the layers, the part of `lowered` that is theirs).
    """
    rows = [row for row, _ in lowered.executions]
    columns = [n for _, n in lowered.executions] + list(lowered.missing.values())
    if not columns:
        yield np.arange(layers), lowered
        return
    numbers = np.stack(columns)
    patterns, group = np.unique(numbers > 0, axis=1, return_inverse=True)
    by_group = np.argsort(group.reshape(-1), kind="stable")
    sizes = np.bincount(group.reshape(-1), minlength=patterns.shape[1])
    for pattern, members in zip(patterns.T, np.split(by_group, np.cumsum(sizes)[:-1]), strict=True):
        used = np.flatnonzero(pattern)
        share = numbers[np.ix_(used, members)]
        executions = [(rows[i], n) for i, n in zip(used, share, strict=True) if i < len(rows)]
        keys = list(lowered.missing)
        missing = {keys[i - len(rows)]: n for i, n in zip(used, share, strict=True) if i >= len(rows)}
        yield members, Lowered(executions, missing)


def layer_energies(
    table: LayerTable, energies: Sequence[EnergyTable], memories: Sequence[str] = ()
) -> tuple[Floats, NDArray[np.bool_]]:
    """([L, E] joules of arithmetic and of the levels `memories` on each node, [L, E] whether the table has
    every figure). Raises ArgumentError for a level of memory that a table lacks.
    """
    shape = len(table.kinds), len(energies)
    joules, complete = np.zeros(shape), np.ones(shape, dtype=bool)
    counts = [(*key, table.counts[:, k]) for k, key in enumerate(table.keys)]
    for e, energy in enumerate(energies):
        charged = arithmetic_energy(counts, energy_charges(energy))
        per_byte_pj = sum(memory_level(energy, name).energy_pj_per_byte for name in memories)
        joules[:, e] = (charged.energy_pj + table.n_bytes * per_byte_pj) * PJ
        for n in charged.missing.values():
            complete[:, e] &= n == 0
    return joules, complete
