"""The differences of two profiles as two tables: the totals with their ratios, and the layers that differ."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

from addercost.analysis.bounds import bounded, exact_ratio
from addercost.analysis.layer_rows import ProfileRow, labelled_costs
from addercost.analysis.profile_diff import ChangeKind, LayerChange, ProfileDiff
from addercost.arithmetic import OpClass
from addercost.cost.accelerator.estimate import AcceleratorCost
from addercost.cost.energy import ModelEnergy
from addercost.report.table import Column, Kind, Table
from addercost.report.tables.layers import class_columns
from addercost.results.profile import Profile
from addercost.units import prefixed_unit


def diff_tables(diff: ProfileDiff) -> tuple[Table, Table]:
    """(totals with their ratios, the layers that differ)."""
    return _totals(diff), _layers(diff)


def _totals(diff: ProfileDiff) -> Table:
    rows = list(_total_rows(diff))
    for row in rows:
        row["difference"] = row["after"] - row["before"] if row.pop("comparable", True) else None
        row["ratio"] = exact_ratio(row["after"], row["before"])
    return Table(
        columns=(
            Column("quantity", "total"),
            Column("before", "before", Kind.AMOUNT),
            Column("after", "after", Kind.AMOUNT),
            Column("difference", "after − before", Kind.AMOUNT),
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
                "before": bounded(a, before.complete),
                "after": bounded(b, after.complete),
            }
    yield {"quantity": "parameters", "before": before.parameters, "after": after.parameters}
    costs, other_costs = labelled_costs(diff.before), labelled_costs(diff.after)
    for name in diff.processors:
        a_cost, b_cost = costs[name], other_costs[name]
        yield {
            "quantity": f"estimated cycles on {b_cost.hardware}, {b_cost.model}",
            "before": bounded(a_cost.cycles, a_cost.complete),
            "after": bounded(b_cost.cycles, b_cost.complete),
            # The difference of two lower bounds is exact only where both leave out the same.
            "comparable": a_cost.missing == b_cost.missing,
        }
    by_table = {item.hardware: item for item in diff.before.energies}
    for energy in diff.after.energies:
        if energy.hardware in diff.energies:
            yield _joules(energy.hardware, by_table[energy.hardware], energy)
    by_array = {item.hardware: item for item in diff.before.accelerators}
    for array in diff.after.accelerators:
        if array.hardware in diff.accelerators:
            known = by_array[array.hardware]
            yield {
                "quantity": f"estimated cycles on {array.hardware}",
                "before": bounded(known.cycles, known.complete),
                "after": bounded(array.cycles, array.complete),
                "comparable": known.missing == array.missing,
            }
            yield _joules(array.hardware, known, array)


def _joules(
    name: str, before: ModelEnergy | AcceleratorCost, after: ModelEnergy | AcceleratorCost
) -> dict[str, Any]:
    factor, unit = prefixed_unit(max(before.total_j, after.total_j), "J")
    return {
        "quantity": f"estimated energy by {name}, {unit}",
        "before": bounded(before.total_j / factor, before.complete),
        "after": bounded(after.total_j / factor, after.complete),
        "comparable": before.missing == after.missing,
    }


def _layers(diff: ProfileDiff) -> Table:
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
        *(Column(f"cycles@{name}", f"Δ cycles\n{name}", Kind.COUNT) for name in diff.with_cycles),
        *(
            Column(f"energy_j@{name}", f"Δ energy\n{name}", Kind.QUANTITY, unit="J")
            for name in diff.with_joules
        ),
    ]
    rows = []
    for change in diff.layers:
        cells: dict[str, Any] = {"path": change.path or "(model)", "change": change.kind.value}
        cells["what"] = _what(change)
        for column in classes:
            op_class = OpClass(column.name)
            cells[column.name] = _count(change.after, op_class) - _count(change.before, op_class)
        for name in diff.with_cycles:
            cells[f"cycles@{name}"] = _of(change.after, "cycles", name) - _of(change.before, "cycles", name)
        for name in diff.with_joules:
            cells[f"energy_j@{name}"] = _of(change.after, "joules", name) - _of(change.before, "joules", name)
        rows.append(cells)
    tally = ", ".join(
        f"{sum(change.kind is kind for change in diff.layers)} {kind.value}" for kind in ChangeKind
    )
    return Table(
        tuple(columns) if rows else (columns[0],),
        rows,
        title=f"Layers: {tally}, {diff.unchanged} unchanged",
        notes=("Δ: after − before; cycles and energies are estimates",) if rows else ("no layer differs",),
    )


def _what(change: LayerChange) -> str:
    """The type and output shape of a layer, as before → after where they changed."""
    one, two = change.before, change.after
    texts = []
    for row in (one, two):
        if row is not None:
            shape = "x".join(map(str, row.output_shape or ()))
            texts.append(f"{row.type} {shape}".strip())
    return " → ".join(dict.fromkeys(texts))


def _count(row: ProfileRow | None, op_class: OpClass) -> int:
    return row.counts[op_class] if row is not None else 0


def _of(row: ProfileRow | None, what: Literal["cycles", "joules"], name: str) -> float:
    """The cycles or joules of a layer in one estimate; 0 where the profile has no such layer."""
    if row is None:
        return 0
    return (row.cycles if what == "cycles" else row.joules)[name]


def _name(profile: Profile) -> str:
    counts = profile.counts
    changes = [*counts.what_if, *([counts.arithmetic.value] if counts.arithmetic else [])]
    return f"{counts.model} ({' and '.join(changes)})" if changes else counts.model


def _remarks(diff: ProfileDiff) -> Iterator[str]:
    one, two = diff.before.counts, diff.after.counts
    if one.inputs != two.inputs:
        yield "the inputs differ, so the counts differ for that reason too"
    names: set[str] = set()
    for profile in (diff.before, diff.after):
        names |= {*labelled_costs(profile)}
        names |= {energy.hardware for energy in profile.energies}
        names |= {array.hardware for array in profile.accelerators}
    left_out = names - {*diff.with_cycles, *diff.with_joules}
    if left_out:
        yield f"estimated in only one of them, or in different ways: {', '.join(sorted(left_out))}"
