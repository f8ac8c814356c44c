"""Limits on how fast a stream of independent instructions can run, one pure function for each.

Every function takes executions, pairs of an instruction and how often it is executed, and returns `Bound`s.
The stream takes at least as long as the largest of them. Waiting for results, the front end beyond its issue
width, and memory are not among these limits.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import reduce
from typing import NamedTuple

from addercost.cost.columns import ONE_LAYER, Column, Columns
from addercost.cost.target import Target
from addercost.hardware.schema.instruction import Instruction
from addercost.hardware.vocabulary import Form

Executions = Sequence[tuple[Instruction, Column]]
"""(instruction, how often it is executed), in the order in which it was needed."""

_MOST_PORT_SETS = 10


class Bound(NamedTuple):
    """`cycles`, a column, that no stream can beat, because of what `name` says."""

    name: str
    cycles: Column


def issue_bound(target: Target, executions: Executions) -> list[Bound]:
    """Σ executions × micro-ops / issue width. None where the issue width is unknown."""
    if target.issue_width_uops is None:
        return []
    # An instruction whose number of micro-ops is unknown has at least one.
    uops = sum(n * (row.uops or 1) for row, n in executions)
    return [Bound("issue width", uops / target.issue_width_uops)]


def instruction_bounds(target: Target, executions: Executions) -> list[Bound]:
    """Executions × reciprocal throughput, for each op on its own."""
    cycles: dict[str, Column] = {}
    for row, n in executions:
        cycles[row.op] = cycles.get(row.op, 0) + n * row.reciprocal_throughput_cycles
    return [Bound(f"throughput of {op}", c) for op, c in cycles.items()]


def port_bounds(target: Target, executions: Executions) -> list[Bound]:
    """For every union of port groups: the cycles of work that only its ports can do / the number of them.

    Their maximum is the exact optimum of spreading work freely over ports, by the max-flow min-cut theorem.
    Source of the idea: the port bound of Facile (Abel and Reineke, 2023).
    """
    by_ports: dict[frozenset[str], Column] = {}
    for row, n in executions:
        for cycles, ports in row.port_groups:
            key = frozenset(ports)
            by_ports[key] = by_ports.get(key, 0) + n * cycles
    unions = _unions(by_ports)
    return [
        Bound(
            "ports " + "|".join(sorted(union)) if len(union) > 1 else f"port {next(iter(union))}",
            sum(cycles for ports, cycles in by_ports.items() if ports <= union) / len(union),
        )
        for union in unions
    ]


def unknown_port_bounds(target: Target, executions: Executions) -> list[Bound]:
    """Instructions without port sets: those on registers of one kind are taken to share one pool of units.

    Exact when the units of a pool are alike, whatever their number. Estimates state this assumption.
    """
    pools: dict[str, list[Column]] = {}
    for row, n in executions:
        if not row.ports:
            pool = "vector units" if row.form is not Form.SCALAR else "scalar units"
            if row.form is Form.MATRIX:
                pool = "matrix unit"
            elif row.form is Form.SCALAR and row.op.startswith(("fp", "bf")):
                pool = "floating-point units"
            pools.setdefault(pool, []).append(n * row.reciprocal_throughput_cycles)
    # One instruction alone is bound by its own rate.
    return [Bound(f"{pool}, ports unknown", sum(c)) for pool, c in pools.items() if len(c) > 1]


def all_bounds(target: Target, executions: Executions) -> list[Bound]:
    """Every bound of `executions`."""
    functions = (issue_bound, port_bounds, unknown_port_bounds, instruction_bounds)
    return [bound for function in functions for bound in function(target, executions)]


def binding(bounds: Iterable[Bound]) -> Bound:
    """The largest bound of one layer, the earliest at a tie; `Bound("nothing", 0)` of none."""
    return max(bounds, key=lambda bound: bound.cycles, default=Bound("nothing", 0))


class ThroughputBounds:
    """The bounds of many streams on one target, fast.

    Every bound is linear in the executions. So the weights of each set of instructions are found once, by
    asking the functions above about one execution of each instruction alone.
    """

    def __init__(self, target: Target, columns: Columns = ONE_LAYER) -> None:
        self.target = target
        self.columns = columns
        self._weights: dict[tuple[int, ...], tuple[list[str], list[list[float]]]] = {}

    def __call__(self, executions: Executions) -> list[Bound]:
        """The bounds of `executions`, whose first is 0 cycles because of nothing."""
        # The instructions belong to the target, which outlives this object, so their ids identify them.
        key = tuple([id(row) for row, _ in executions])
        known = self._weights.get(key)
        if known is None:
            known = self._weights[key] = self._weights_of([row for row, _ in executions])
        names, weights = known
        bounds = [Bound("nothing", 0.0)]
        if names:
            bounds += map(Bound, names, self.columns.weighted_sums(weights, [n for _, n in executions]))
        return bounds

    def largest(self, executions: Executions) -> Column:
        """The cycles that the executions take at least."""
        return reduce(self.columns.maximum, [bound.cycles for bound in self(executions)])

    def _weights_of(self, rows: Sequence[Instruction]) -> tuple[list[str], list[list[float]]]:
        """The names of the bounds, and for each of them the cycles that one execution of each row adds."""
        one_each = [
            all_bounds(self.target, [(row, int(i == j)) for j, row in enumerate(rows)])
            for i in range(len(rows))
        ]
        same = list(zip(*one_each, strict=True))
        return [bounds[0].name for bounds in same], [[bound.cycles for bound in bounds] for bounds in same]


def _unions(groups: Iterable[frozenset[str]]) -> list[frozenset[str]]:
    """Every union of the groups; of many groups only the groups themselves, their pairs and the whole."""
    distinct = sorted(groups, key=lambda ports: (len(ports), sorted(ports)))
    if len(distinct) > _MOST_PORT_SETS:
        pairs = {a | b for a in distinct for b in distinct}
        return sorted(pairs | {frozenset().union(*distinct)}, key=lambda u: (len(u), sorted(u)))
    unions: dict[frozenset[str], None] = {}
    for group in distinct:
        for union in [group, *(group | other for other in unions)]:
            unions.setdefault(union)
    return list(unions)
