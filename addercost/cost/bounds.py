"""Limits on how fast a stream of independent instructions can run, one pure function for each.

Every function takes executions, pairs of an instruction and how often it is executed, and returns `Bound`s.
The stream takes at least as long as the largest of them. Three limits are left out: waiting for results, the
front end beyond its issue width, and memory.
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
"""(instruction, how often it is executed), in the order in which instructions were first needed."""

_MOST_PORT_SETS = 10


class Bound(NamedTuple):
    """A limit: the stream takes at least `cycles`, a column, because of the resource that `name` says."""

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
    """Σ executions × reciprocal throughput, one bound for each operation of the table, such as `fp32_add`."""
    cycles: dict[str, Column] = {}
    for row, n in executions:
        cycles[row.op] = cycles.get(row.op, 0) + n * row.reciprocal_throughput_cycles
    return [Bound(f"throughput of {op}", c) for op, c in cycles.items()]


def port_bounds(target: Target, executions: Executions) -> list[Bound]:
    """For every union of port groups: the cycles of work that only these ports can do / the number of ports.

    The largest of these bounds is what an optimal spreading of the work over ports takes, by the max-flow
    min-cut theorem. Source of the idea: the port bound of Facile (Abel and Reineke, 2023).
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
    """Bounds of instructions whose ports are not known. Those on registers of one kind are taken to share a
    pool of units.

    The bound is exact if all units of a pool execute all its instructions, whatever their number. Estimates
    state this assumption.
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
    # A pool with a single instruction is bound by that instruction's own rate.
    return [Bound(f"{pool}, ports unknown", sum(c)) for pool, c in pools.items() if len(c) > 1]


def all_bounds(target: Target, executions: Executions) -> list[Bound]:
    """Every bound of `executions`."""
    functions = (issue_bound, port_bounds, unknown_port_bounds, instruction_bounds)
    return [bound for function in functions for bound in function(target, executions)]


def binding(bounds: Iterable[Bound]) -> Bound:
    """The largest bound of one layer, the first of equal ones; `Bound("nothing", 0)` where there is none."""
    return max(bounds, key=lambda bound: bound.cycles, default=Bound("nothing", 0))


class ThroughputBounds:
    """The bounds of many streams on one target, computed faster than by the functions above.

    Every bound is linear in the executions: it is a sum of a weight × each execution. The weights for a set
    of instructions are computed once, by calling the functions above with one execution of each instruction
    alone.
    """

    def __init__(self, target: Target, columns: Columns = ONE_LAYER) -> None:
        self.target = target
        self.columns = columns
        self._weights: dict[tuple[int, ...], tuple[list[str], list[list[float]]]] = {}

    def __call__(self, executions: Executions) -> list[Bound]:
        """The bounds of `executions`. The first of them is always 0 cycles, named "nothing"."""
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
        """The largest bound: the executions take at least so many cycles."""
        return reduce(self.columns.maximum, [bound.cycles for bound in self(executions)])

    def _weights_of(self, rows: Sequence[Instruction]) -> tuple[list[str], list[list[float]]]:
        """The names of the bounds, and for each bound the cycles that one execution of each instruction adds
        to it.
        """
        one_each = [
            all_bounds(self.target, [(row, int(i == j)) for j, row in enumerate(rows)])
            for i in range(len(rows))
        ]
        same = list(zip(*one_each, strict=True))
        return [bounds[0].name for bounds in same], [[bound.cycles for bound in bounds] for bounds in same]


def _unions(groups: Iterable[frozenset[str]]) -> list[frozenset[str]]:
    """Every union of the groups. Where there are many groups, only the groups themselves, the unions of two
    and the union of all.
    """
    distinct = sorted(groups, key=lambda ports: (len(ports), sorted(ports)))
    if len(distinct) > _MOST_PORT_SETS:
        pairs = {a | b for a in distinct for b in distinct}
        return sorted(pairs | {frozenset().union(*distinct)}, key=lambda u: (len(u), sorted(u)))
    unions: dict[frozenset[str], None] = {}
    for group in distinct:
        for union in [group, *(group | other for other in unions)]:
            unions.setdefault(union)
    return list(unions)
