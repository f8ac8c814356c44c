"""Two profiles, layer by layer: what was added, removed and changed, and the ratios of the totals.

Counts have no noise: every difference is a real one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from addercost.arithmetic import OpClass
from addercost.errors import ArgumentError
from addercost.report.profile_table import LayerRow, class_columns, labels, layer_rows
from addercost.report.tables import AtLeast, Column, Kind, Table
from addercost.results.profile import Profile


class Change(StrEnum):
    ADDED = "added"
    REMOVED = "removed"
    CHANGED = "changed"


@dataclass(frozen=True, slots=True)
class LayerChange:
    """before or after is None for a layer that is in only one of them."""

    path: str
    change: Change
    before: LayerRow | None
    after: LayerRow | None


@dataclass(frozen=True, slots=True)
class ProfileDiff:
    """layers: those that differ, in the order of the second profile, the removed ones last."""

    before: Profile
    after: Profile
    layers: tuple[LayerChange, ...]
    unchanged: int


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
    processors = _processors(before, after)
    changes = []
    for path, row in second.items():
        known = first.get(path)
        if known is None:
            changes.append(LayerChange(path, Change.ADDED, None, row))
        elif _content(known, processors) != _content(row, processors):
            changes.append(LayerChange(path, Change.CHANGED, known, row))
    unchanged = len(second) - len(changes)
    changes += [
        LayerChange(path, Change.REMOVED, row, None) for path, row in first.items() if path not in second
    ]
    return ProfileDiff(before, after, tuple(changes), unchanged)


def diff_tables(diff: ProfileDiff) -> tuple[Table, Table]:
    """(totals with their ratios, the layers that differ)."""
    return _totals(diff), _layers(diff)


def _processors(before: Profile, after: Profile) -> list[str]:
    """Those that both were estimated on by the same cost model; only they can be compared."""
    known = labels(before)
    return [name for name, cost in labels(after).items() if name in known and known[name].model == cost.model]


def _content(row: LayerRow, processors: list[str]) -> tuple[Any, ...]:
    cycles = tuple(row.cycles[name] for name in processors)
    return (row.type, row.output_shape, row.parameters, row.counts, cycles)


def _totals(diff: ProfileDiff) -> Table:
    rows = list(_total_rows(diff))
    for row in rows:
        row["difference"] = row["after"] - row["before"] if row.pop("comparable", True) else None
        known = not isinstance(row["before"], AtLeast) and not isinstance(row["after"], AtLeast)
        row["ratio"] = row["after"] / row["before"] if row["before"] and known else None
    return Table(
        columns=(
            Column("quantity", "total"),
            Column("before", "before", Kind.COUNT),
            Column("after", "after", Kind.COUNT),
            Column("difference", "after − before", Kind.COUNT),
            Column("ratio", "after / before", Kind.RATIO),
        ),
        rows=rows,
        title=f"{_name(diff.before)} → {_name(diff.after)}, convention {diff.after.counts.convention.name}",
        notes=tuple(_remarks(diff)),
    )


def _total_rows(diff: ProfileDiff) -> Iterator[dict[str, Any]]:
    before, after = diff.before.counts, diff.after.counts
    for op_class in OpClass:
        a, b = before.total[op_class], after.total[op_class]
        if a or b or op_class in (OpClass.MUL, OpClass.ADD):
            yield {
                "quantity": op_class.value,
                "before": a if before.complete else AtLeast(a),
                "after": b if after.complete else AtLeast(b),
            }
    yield {"quantity": "parameters", "before": before.parameters, "after": after.parameters}
    costs, other_costs = labels(diff.before), labels(diff.after)
    for name in _processors(diff.before, diff.after):
        a_cost, b_cost = costs[name], other_costs[name]
        yield {
            "quantity": f"estimated cycles on {b_cost.hardware}, {b_cost.model}",
            "before": a_cost.cycles if a_cost.complete else AtLeast(a_cost.cycles),
            "after": b_cost.cycles if b_cost.complete else AtLeast(b_cost.cycles),
            # Two lower bounds differ as the truth does only where they leave out the same.
            "comparable": a_cost.missing == b_cost.missing,
        }


def _layers(diff: ProfileDiff) -> Table:
    processors = _processors(diff.before, diff.after)
    classes = [
        column
        for column in class_columns(diff.before.counts.total, diff.after.counts.total)
        if any(
            _count(change.after, OpClass(column.name)) != _count(change.before, OpClass(column.name))
            for change in diff.layers
        )
    ]
    columns = [
        Column("path", "layer", Kind.PATH),
        Column("change", "change"),
        Column("what", "what", optional=True),
        *(Column(c.name, f"Δ {c.title}", Kind.COUNT, optional=c.optional) for c in classes),
        *(Column(f"cycles@{name}", f"Δ cycles\n{name}", Kind.COUNT) for name in processors),
    ]
    rows = []
    for change in diff.layers:
        cells: dict[str, Any] = {"path": change.path or "(model)", "change": change.change.value}
        cells["what"] = _what(change)
        for column in classes:
            op_class = OpClass(column.name)
            cells[column.name] = _count(change.after, op_class) - _count(change.before, op_class)
        for name in processors:
            cells[f"cycles@{name}"] = _cycles(change.after, name) - _cycles(change.before, name)
        rows.append(cells)
    tally = ", ".join(
        f"{sum(change.change is kind for change in diff.layers)} {kind.value}" for kind in Change
    )
    return Table(
        tuple(columns) if rows else (columns[0],),
        rows,
        title=f"Layers: {tally}, {diff.unchanged} unchanged",
        notes=("Δ: after − before; cycles are estimates",) if rows else ("no layer differs",),
    )


def _what(change: LayerChange) -> str:
    """The type and shape, with an arrow where they changed."""
    one, two = change.before, change.after
    texts = []
    for row in (one, two):
        if row is not None:
            shape = "x".join(map(str, row.output_shape or ()))
            texts.append(f"{row.type} {shape}".strip())
    return " → ".join(dict.fromkeys(texts))


def _count(row: LayerRow | None, op_class: OpClass) -> int:
    return row.counts[op_class] if row is not None else 0


def _cycles(row: LayerRow | None, name: str) -> float:
    return row.cycles[name] if row is not None else 0


def _name(profile: Profile) -> str:
    counts = profile.counts
    changes = [*counts.what_if, *([counts.arithmetic.value] if counts.arithmetic else [])]
    return f"{counts.model} ({' and '.join(changes)})" if changes else counts.model


def _remarks(diff: ProfileDiff) -> Iterator[str]:
    one, two = diff.before.counts, diff.after.counts
    if one.inputs != two.inputs:
        yield "the inputs differ, so the counts differ for that reason too"
    left_out = {*labels(diff.before), *labels(diff.after)} - set(_processors(diff.before, diff.after))
    if left_out:
        yield f"estimated in only one of them, or by different cost models: {', '.join(sorted(left_out))}"
