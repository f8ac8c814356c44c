"""What two profiles differ in, as two tables: the totals with their ratios, and the layers that differ."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from addercost.analysis.bounds import bounded, exact_ratio
from addercost.analysis.layer_rows import ProfileRow, labelled_costs
from addercost.analysis.profile_diff import ChangeKind, LayerChange, ProfileDiff
from addercost.arithmetic import OpClass
from addercost.report.table import Column, Kind, Table
from addercost.report.tables.layers import class_columns
from addercost.results.profile import Profile


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
            # The difference of two lower bounds is the true one only where both leave out the same.
            "comparable": a_cost.missing == b_cost.missing,
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
        *(Column(f"cycles@{name}", f"Δ cycles\n{name}", Kind.COUNT) for name in diff.processors),
    ]
    rows = []
    for change in diff.layers:
        cells: dict[str, Any] = {"path": change.path or "(model)", "change": change.kind.value}
        cells["what"] = _what(change)
        for column in classes:
            op_class = OpClass(column.name)
            cells[column.name] = _count(change.after, op_class) - _count(change.before, op_class)
        for name in diff.processors:
            cells[f"cycles@{name}"] = _cycles(change.after, name) - _cycles(change.before, name)
        rows.append(cells)
    tally = ", ".join(
        f"{sum(change.kind is kind for change in diff.layers)} {kind.value}" for kind in ChangeKind
    )
    return Table(
        tuple(columns) if rows else (columns[0],),
        rows,
        title=f"Layers: {tally}, {diff.unchanged} unchanged",
        notes=("Δ: after − before; cycles are estimates",) if rows else ("no layer differs",),
    )


def _what(change: LayerChange) -> str:
    """The type and output shape; before → after where they changed."""
    one, two = change.before, change.after
    texts = []
    for row in (one, two):
        if row is not None:
            shape = "x".join(map(str, row.output_shape or ()))
            texts.append(f"{row.type} {shape}".strip())
    return " → ".join(dict.fromkeys(texts))


def _count(row: ProfileRow | None, op_class: OpClass) -> int:
    return row.counts[op_class] if row is not None else 0


def _cycles(row: ProfileRow | None, name: str) -> float:
    return row.cycles[name] if row is not None else 0


def _name(profile: Profile) -> str:
    counts = profile.counts
    changes = [*counts.what_if, *([counts.arithmetic.value] if counts.arithmetic else [])]
    return f"{counts.model} ({' and '.join(changes)})" if changes else counts.model


def _remarks(diff: ProfileDiff) -> Iterator[str]:
    one, two = diff.before.counts, diff.after.counts
    if one.inputs != two.inputs:
        yield "the inputs differ, so the counts differ for that reason too"
    left_out = {*labelled_costs(diff.before), *labelled_costs(diff.after)} - set(diff.processors)
    if left_out:
        yield f"estimated in only one of them, or by different cost models: {', '.join(sorted(left_out))}"
