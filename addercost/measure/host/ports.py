"""Finds which execution units instructions share, from the times of mixes of two instructions.

An instruction alone shows how many units it has: n, if each of them starts an instruction of this kind every
n · r cycles, where r is the reciprocal throughput. Let two kinds take T₁ and T₂ cycles alone, on the sets of
units U₁ and U₂. A stream of both that is spread over the units in the best way takes the longest of T₁, T₂
and (n₁T₁ + n₂T₂) / |U₁ ∪ U₂|. So the time of the mix gives the number of units that both can use. Sets of
units are then searched that agree with all pairs. The names of the units are ours. The rule is that of
`addercost.cost.bounds.port_bounds`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from typing import NamedTuple

CERTAIN = 0.35
"""A measured overlap is rounded up if its fraction is at least 1 - 0.35. In doubt a pair shares fewer units,
so that the bound stays one that no kernel can beat.
"""

MOST_UNITS = 8
MOST_STEPS = 200_000


class Mix(NamedTuple):
    """A measured mix: `first_count` instructions of one kind and `second_count` of another take `cycles`."""

    first_count: int
    second_count: int
    cycles: float


def shared_units(
    throughputs: Sequence[float], mixes: Mapping[tuple[int, int], Mix]
) -> list[tuple[float, frozenset[int]]]:
    """(cycles of work, the units that can do it) of every instruction, in the order of `throughputs`.

    throughputs: the reciprocal throughput in cycles of each instruction alone. mixes: by the positions of the
    two instructions, the smaller first. A pair without a mix shares no unit.
    """
    pairs = [overlaps(throughputs, mixes, width) for width in (1, 2)]
    # An instruction on wide registers may occupy two units. Then the overlaps of pairs are multiples of a
    # half.
    width = 1 if _misfit(pairs[0]) <= _misfit(pairs[1]) + 0.05 else 2
    counts = units(throughputs, width)
    shared = {pair: math.floor(o + CERTAIN) for pair, o in pairs[width - 1].items()}
    sets = _sets(counts, shared)
    return [
        (n * cycles, frozenset(found)) for n, cycles, found in zip(counts, throughputs, sets, strict=True)
    ]


def units(throughputs: Sequence[float], width: int) -> list[int]:
    """How many units each instruction has, if an instruction that starts once a cycle has `width` units."""
    return [max(1, min(MOST_UNITS, round(width / min(cycles, 1.0)))) for cycles in throughputs]


def overlaps(
    throughputs: Sequence[float], mixes: Mapping[tuple[int, int], Mix], width: int
) -> dict[tuple[int, int], float]:
    """How many units the two instructions of each mix have in common, before rounding."""
    counts = units(throughputs, width)
    found = {}
    for (i, j), mix in mixes.items():
        alone = mix.first_count * throughputs[i], mix.second_count * throughputs[j]
        work = alone[0] * counts[i] + alone[1] * counts[j]
        common = counts[i] + counts[j] - work / max(mix.cycles, *alone)
        # No unit is shared where the mix takes no longer than the longer of the two alone.
        found[i, j] = min(max(common, 0.0), min(counts[i], counts[j])) if mix.cycles > max(alone) else 0.0
    return found


def _misfit(pairs: Mapping[tuple[int, int], float]) -> float:
    """The mean distance of the overlaps from whole numbers."""
    return sum(abs(o - round(o)) for o in pairs.values()) / max(len(pairs), 1)


def _sets(counts: Sequence[int], shared: Mapping[tuple[int, int], int]) -> list[set[int]]:
    """Sets of units with the sizes `counts` whose intersections have the sizes `shared`, or come nearest to
    these.
    """
    alike = _alike(counts, shared)
    # Instructions with the same units get one set. Large sets come first, since the others are parts of them.
    kinds = sorted(set(alike), key=lambda kind: (-counts[kind], kind))
    wanted = {(a, b): shared.get((min(a, b), max(a, b)), 0) for a in kinds for b in kinds if a != b}
    best: tuple[float, dict[int, set[int]]] = (math.inf, {})
    steps = 0

    def place(index: int, sets: dict[int, set[int]], cost: int) -> None:
        nonlocal best, steps
        steps += 1
        if cost >= best[0] or (steps > MOST_STEPS and best[1]):
            return
        if index == len(kinds):
            best = cost, sets
            return
        kind = kinds[index]
        choices = []
        for chosen in _choices(list(sets.values()), counts[kind]):
            # Sharing that was not measured is the worse fault, since a kernel could beat the resulting bound.
            fault = 0
            for other, units_of in sets.items():
                common, want = len(chosen & units_of), wanted[kind, other]
                fault += 3 * (common - want) if common > want else want - common
            choices.append((fault, sorted(chosen)))
        for fault, chosen_units in sorted(choices):
            place(index + 1, {**sets, kind: set(chosen_units)}, cost + fault)

    place(0, {}, 0)
    return [best[1][kind] for kind in alike]


def _alike(counts: Sequence[int], shared: Mapping[tuple[int, int], int]) -> list[int]:
    """For each instruction, the position of the first instruction that has the same units."""
    first = list(range(len(counts)))
    for i in range(len(counts)):
        for j in range(i):
            if first[j] == j and counts[i] == counts[j] == shared.get((j, i), 0):
                first[i] = j
                break
    return first


def _choices(sets: Sequence[set[int]], size: int) -> Iterator[set[int]]:
    """Every way to choose `size` units among the units of the sets and new ones. Units that are in the same
    sets are interchangeable, so only their number is varied.
    """
    cells: dict[tuple[bool, ...], list[int]] = {}
    known = sorted(set().union(*sets)) if sets else []
    for unit in known:
        cells.setdefault(tuple(unit in s for s in sets), []).append(unit)
    groups = list(cells.values())
    for taken in product(*(range(min(len(group), size) + 1) for group in groups)):
        if sum(taken) <= size:
            chosen = {unit for group, n in zip(groups, taken, strict=True) for unit in group[:n]}
            new = size - sum(taken)
            yield chosen | set(range(len(known), len(known) + new))
