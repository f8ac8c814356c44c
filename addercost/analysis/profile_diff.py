"""Two profiles, layer by layer: which were added, removed and changed.

Counts have no noise: every difference is a real one.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from addercost.analysis.layer_rows import ProfileRow, labelled_costs, layer_rows
from addercost.errors import ArgumentError
from addercost.results.profile import Profile


class ChangeKind(StrEnum):
    ADDED = "added"
    REMOVED = "removed"
    CHANGED = "changed"


@dataclass(frozen=True, slots=True)
class LayerChange:
    """One layer that differs. before, after: None for a layer that only the other profile has."""

    path: str
    kind: ChangeKind
    before: ProfileRow | None
    after: ProfileRow | None


@dataclass(frozen=True, slots=True)
class ProfileDiff:
    """What two profiles differ in.

    layers: those that differ, in the order of the second profile, the removed ones last. unchanged: how many
    layers are the same. processors: labels of those that both profiles have an estimate on by the same cost
    model; only these can be compared.
    """

    before: Profile
    after: Profile
    layers: tuple[LayerChange, ...]
    unchanged: int
    processors: tuple[str, ...]


def diff_profiles(before: Profile, after: Profile) -> ProfileDiff:
    """Layers are the same where their paths are. Raises ArgumentError where the conventions differ."""
    one, two = (profile.counts.convention.name for profile in (before, after))
    if one != two:
        raise ArgumentError(
            f"profiles of different conventions cannot be compared: {one} and {two}",
            "count them by the same one",
        )
    first = {row.path: row for row in layer_rows(before)}
    second = {row.path: row for row in layer_rows(after)}
    processors = _common_processors(before, after)
    changes = []
    for path, row in second.items():
        known = first.get(path)
        if known is None:
            changes.append(LayerChange(path, ChangeKind.ADDED, None, row))
        elif _content(known, processors) != _content(row, processors):
            changes.append(LayerChange(path, ChangeKind.CHANGED, known, row))
    unchanged = len(second) - len(changes)
    changes += [
        LayerChange(path, ChangeKind.REMOVED, row, None) for path, row in first.items() if path not in second
    ]
    return ProfileDiff(before, after, tuple(changes), unchanged, processors)


def _common_processors(before: Profile, after: Profile) -> tuple[str, ...]:
    known = labelled_costs(before)
    return tuple(
        name
        for name, cost in labelled_costs(after).items()
        if name in known and known[name].model == cost.model
    )


def _content(row: ProfileRow, processors: tuple[str, ...]) -> tuple[Any, ...]:
    cycles = tuple(row.cycles[name] for name in processors)
    return (row.type, row.output_shape, row.parameters, row.counts, cycles)
