"""Limits on how fast a stream of independent instructions can run, one pure function for each.

`work` is a list of (instruction, executions). Every function returns `Bound`s; the stream takes at least as
long as the largest. Dependencies, the front end beyond its issue width, and memory are outside these
limits.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from operator import mul

from addercost.hardware.schema import Cpu, Instruction
from addercost.hardware.vocabulary import Form

Work = Sequence[tuple[Instruction, float]]

_MOST_PORT_SETS = 10


@dataclass(frozen=True, slots=True)
class Bound:
    """`cycles` the stream cannot beat, because of `name`."""

    name: str
    cycles: float


def issue_bound(cpu: Cpu, work: Work) -> list[Bound]:
    """Σ executions × micro-ops / issue width. None where the table has no issue width."""
    if cpu.issue_width_uops is None:
        return []
    # A row without a micro-op count is one at least.
    uops = sum(n * (row.uops or 1) for row, n in work)
    return [Bound("issue width", uops / cpu.issue_width_uops)]


def instruction_bounds(cpu: Cpu, work: Work) -> list[Bound]:
    """executions × reciprocal throughput of each instruction on its own."""
    cycles: dict[str, float] = {}
    for row, n in work:
        cycles[row.op] = cycles.get(row.op, 0) + n * row.reciprocal_throughput_cycles
    return [Bound(f"throughput of {op}", c) for op, c in cycles.items()]


def port_bounds(cpu: Cpu, work: Work) -> list[Bound]:
    """For every union of port groups: the work that can go nowhere else / the number of ports in it.

    This is the exact optimum of spreading work freely over ports, by the max-flow min-cut theorem. Source
    of the idea: the port bound of Facile (Abel and Reineke, 2023).
    """
    by_ports: dict[frozenset[str], float] = {}
    for row, n in work:
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


def unknown_port_bounds(cpu: Cpu, work: Work) -> list[Bound]:
    """Instructions without port sets: those on the same kind of registers are taken to share one pool of
    units.

    Exact when the pool's units are alike, whatever their number; see the assumption the estimate carries.
    """
    pools: dict[str, float] = {}
    for row, n in work:
        if not row.ports:
            pool = "vector units" if row.form is not Form.SCALAR else "scalar units"
            if row.form is Form.SCALAR and row.op.startswith(("fp", "bf")):
                pool = "floating-point units"
            pools[pool] = pools.get(pool, 0) + n * row.reciprocal_throughput_cycles
    return [Bound(f"{pool}, ports unknown", c) for pool, c in pools.items()]


BOUNDS = {
    "issue": issue_bound,
    "ports": port_bounds,
    "unknown-ports": unknown_port_bounds,
    "instructions": instruction_bounds,
}
"""Each can be switched off by name, to see what it hides."""


def all_bounds(cpu: Cpu, work: Work, without: Iterable[str] = ()) -> list[Bound]:
    """Every limit on `work`, except those whose function is named in `without`."""
    off = set(without)
    return [bound for name, function in BOUNDS.items() if name not in off for bound in function(cpu, work)]


def binding(bounds: Iterable[Bound]) -> Bound:
    """The largest, the earliest at a tie; `Bound("nothing", 0)` of none."""
    return max(bounds, key=lambda bound: bound.cycles, default=Bound("nothing", 0))


class ThroughputLimits:
    """The binding limit of many streams on one CPU, fast.

    Every limit is linear in the executions, so for each set of instructions the coefficients are found
    once, by asking the functions above about one execution of each instruction alone.
    """

    def __init__(self, cpu: Cpu, without: Iterable[str] = ()) -> None:
        self.cpu = cpu
        self.without = frozenset(without)
        self._linear: dict[tuple[int, ...], list[tuple[str, tuple[float, ...]]]] = {}

    def binding(self, work: Work) -> Bound:
        # The rows belong to the CPU, which outlives this object, so their ids name them.
        key = tuple([id(row) for row, _ in work])
        linear = self._linear.get(key)
        if linear is None:
            linear = self._linear[key] = self._coefficients(work)
        executions = [n for _, n in work]
        name, most = "nothing", 0.0
        for a_name, coefficients in linear:
            cycles = sum(map(mul, coefficients, executions))
            if cycles > most:
                name, most = a_name, cycles
        return Bound(name, most)

    def _coefficients(self, work: Work) -> list[tuple[str, tuple[float, ...]]]:
        one_each = [
            all_bounds(self.cpu, [(row, int(i == j)) for j, (row, _) in enumerate(work)], self.without)
            for i in range(len(work))
        ]
        return [(same[0].name, tuple(b.cycles for b in same)) for same in zip(*one_each, strict=True)]


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
