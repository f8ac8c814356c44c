"""Two profiles, layer by layer: which were added, removed and changed.

Counts have no noise, so every difference counts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, TypeVar

from addercost.analysis.layer_rows import ProfileRow, labelled_costs, layer_rows
from addercost.cost.accelerator.estimate import AcceleratorCost
from addercost.cost.energy import ModelEnergy
from addercost.errors import ArgumentError
from addercost.results.profile import Profile

T = TypeVar("T")
E = TypeVar("E", ModelEnergy, AcceleratorCost)


class ChangeKind(StrEnum):
    ADDED = "added"
    REMOVED = "removed"
    CHANGED = "changed"


@dataclass(frozen=True, slots=True)
class LayerChange:
    """A layer that differs. before, after: None where that profile lacks the layer."""

    path: str
    kind: ChangeKind
    before: ProfileRow | None
    after: ProfileRow | None


@dataclass(frozen=True, slots=True)
class ProfileDiff:
    """The differences of two profiles.

    layers: the layers that differ, in the order of the second profile, with removed layers last. unchanged:
    how many layers are equal. processors: labels of the processors for which both profiles have an estimate
    by the same cost model. energies: tables by which both have joules, with the same levels of memory.
    accelerators: accelerators with equal arrays for which both have estimates. Only these can be compared.
    """

    before: Profile
    after: Profile
    layers: tuple[LayerChange, ...]
    unchanged: int
    processors: tuple[str, ...]
    energies: tuple[str, ...] = ()
    accelerators: tuple[str, ...] = ()

    @property
    def with_cycles(self) -> tuple[str, ...]:
        """The names by which rows of layers have cycles."""
        return self.processors + self.accelerators

    @property
    def with_joules(self) -> tuple[str, ...]:
        """The names by which rows of layers have joules."""
        return self.energies + self.accelerators


def diff_profiles(before: Profile, after: Profile) -> ProfileDiff:
    """Compares two profiles. Layers are matched by their paths. Raises ArgumentError where the conventions
    differ.
    """
    one, two = (profile.counts.convention.name for profile in (before, after))
    if one != two:
        raise ArgumentError(
            f"profiles of different conventions cannot be compared: {one} and {two}",
            "count them by the same one",
        )
    first = {row.path: row for row in layer_rows(before)}
    second = {row.path: row for row in layer_rows(after)}
    found = ProfileDiff(
        before,
        after,
        (),
        0,
        _in_both(labelled_costs(before), labelled_costs(after), lambda cost: cost.model),
        _in_both(_by_name(before.energies), _by_name(after.energies), _levels),
        _in_both(_by_name(before.accelerators), _by_name(after.accelerators), _array),
    )
    changes = []
    for path, row in second.items():
        known = first.get(path)
        if known is None:
            changes.append(LayerChange(path, ChangeKind.ADDED, None, row))
        elif _content(known, found) != _content(row, found):
            changes.append(LayerChange(path, ChangeKind.CHANGED, known, row))
    unchanged = len(second) - len(changes)
    changes += [
        LayerChange(path, ChangeKind.REMOVED, row, None) for path, row in first.items() if path not in second
    ]
    return replace(found, layers=tuple(changes), unchanged=unchanged)


def _in_both(before: Mapping[str, T], after: Mapping[str, T], rule: Callable[[T], object]) -> tuple[str, ...]:
    """The names of estimates that both profiles have, made by the same rule."""
    return tuple(name for name, item in after.items() if name in before and rule(before[name]) == rule(item))


def _by_name(estimates: Sequence[E]) -> dict[str, E]:
    return {item.hardware: item for item in estimates}


def _levels(energy: ModelEnergy) -> object:
    return {level for layer in energy.layers for level, _ in layer.memory_j}


def _array(cost: AcceleratorCost) -> object:
    return cost.rows, cost.columns, tuple(cost.energy_j)


def _content(row: ProfileRow, diff: ProfileDiff) -> tuple[Any, ...]:
    cycles = tuple(row.cycles[name] for name in diff.with_cycles)
    joules = tuple(row.joules[name] for name in diff.with_joules)
    return (row.type, row.output_shape, row.parameters, row.counts, cycles, joules)
