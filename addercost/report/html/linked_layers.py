"""Models or runs on one page: layers of the same path side by side, each figure linked to its own row."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from addercost.analysis.bounds import AtLeast, bounded
from addercost.analysis.estimate_ratio import bounded_ratio
from addercost.analysis.layer_rows import labelled_costs, layer_rows
from addercost.report.html.views import TableView, view_of
from addercost.report.table import Column, Kind, Table
from addercost.results.measurements import Measurements
from addercost.results.report import Subject


@dataclass(frozen=True, slots=True)
class LinkedRun:
    """What one column shows. values: by layer. anchors: the row of each layer elsewhere on the page.

    unit: s, cycles or operations; ratios stand between columns of one unit alone.
    whole: what the model takes, a lower bound where figures lack; None for measurements of some layers.
    """

    title: str
    unit: str
    values: Mapping[str, float]
    anchors: Mapping[str, str] = field(default_factory=dict)
    whole: float | None = None


def row_anchors(prefix: str, paths: Sequence[str]) -> tuple[str, ...]:
    """An id for each row of a table of layers; one for the first row of a path that several have."""
    seen: set[str] = set()
    ids = []
    for i, path in enumerate(paths):
        ids.append("" if path in seen else f"{prefix}-l{i}")
        seen.add(path)
    return tuple(ids)


def linked_runs(
    items: Sequence[Subject | Measurements], anchors: Sequence[Mapping[str, str]]
) -> list[LinkedRun]:
    """A run for each model and for each measured arithmetic. anchors: rows by layer, one mapping an item."""
    found: list[LinkedRun] = []
    for number, (item, own) in enumerate(zip(items, anchors, strict=True), 1):
        if isinstance(item, Subject):
            found.append(_predicted(item, number, own))
        else:
            found += _measured(item, number, own)
    return found


def linked_table(runs: Sequence[LinkedRun]) -> TableView | None:
    """The whole models where their layers differ, then a row for every layer that two runs share.

    None without either. What runs outside all layers is no layer that they share.
    """
    paths = [path for path in _every_path(runs) if sum(path in run.values for run in runs) > 1]
    if paths == [""]:
        paths = []
    alone = len(_every_path(runs)) - len(paths)
    has_whole = bool(alone) and sum(run.whole is not None for run in runs) > 1
    if not paths and not has_whole:
        return None
    columns = [Column("path", "layer", Kind.PATH)]
    links: dict[tuple[int, str], str] = {}
    rows: list[dict[str, Any]] = [{"path": path or "(model)"} for path in paths]
    for n, run in enumerate(runs):
        is_count = run.unit != "s"
        columns.append(
            Column(f"run{n}", run.title, Kind.COUNT if is_count else Kind.QUANTITY, "" if is_count else "s")
        )
        compares = n > 0 and run.unit == runs[0].unit
        if compares:
            columns.append(Column(f"ratio{n}", "times the\nfirst", Kind.RATIO))
        for i, path in enumerate(paths):
            value, first = run.values.get(path), runs[0].values.get(path)
            rows[i][f"run{n}"] = value
            if compares and value is not None and first:
                rows[i][f"ratio{n}"] = value / first
            if path in run.anchors and value is not None:
                links[i + has_whole, f"run{n}"] = f"#{run.anchors[path]}"
    if has_whole:
        rows.insert(0, _whole(runs))
    notes = (f"{alone:,} layers that only one of them has are left out",) if alone else ()
    total = _sums(runs, paths) if paths else {}
    return view_of(Table(tuple(columns), rows, notes=notes, total=total), links=links)


def _whole(runs: Sequence[LinkedRun]) -> dict[str, Any]:
    """The row of the whole models; its ratios are bounds where one of two is."""
    row: dict[str, Any] = {"path": "the whole model"}
    first = runs[0].whole
    for n, run in enumerate(runs):
        row[f"run{n}"] = run.whole
        if n and run.unit == runs[0].unit and run.whole is not None and first is not None:
            is_complete, other_is_complete = (not isinstance(v, AtLeast) for v in (run.whole, first))
            row[f"ratio{n}"] = bounded_ratio(run.whole, is_complete, first, other_is_complete, False)
    return row


def _sums(runs: Sequence[LinkedRun], paths: Sequence[str]) -> dict[str, Any]:
    """The last row: the sum over the shared layers of each run that has them all, and its ratio to the first
    run's."""
    sums: dict[str, Any] = {"path": "all of these"}
    for n, run in enumerate(runs):
        if not all(path in run.values for path in paths):
            continue
        sums[f"run{n}"] = sum(run.values[path] for path in paths)
        if n and run.unit == runs[0].unit and sums.get("run0"):
            sums[f"ratio{n}"] = sums[f"run{n}"] / sums["run0"]
    return sums


def _every_path(runs: Sequence[LinkedRun]) -> list[str]:
    return list(dict.fromkeys(path for run in runs for path in run.values))


def _predicted(subject: Subject, number: int, anchors: Mapping[str, str]) -> LinkedRun:
    rows = layer_rows(subject.first)
    label, cost = next(iter(labelled_costs(subject.first).items()), (None, None))
    name = f"{number}. {subject.name}"
    counts = subject.first.counts
    if label is None or cost is None or not cost.cycles:
        values: dict[str, float] = {row.path: row.counts.total for row in rows}
        whole = bounded(counts.total.total, counts.complete)
        return LinkedRun(f"{name}, operations", "operations", values, anchors, whole)
    is_complete = cost.complete and counts.complete
    rate = cost.seconds_per_cycle
    if rate is None:
        values = {row.path: row.cycles[label] for row in rows}
        return LinkedRun(f"{name}, {label}", "cycles", values, anchors, bounded(cost.cycles, is_complete))
    title = f"{name}, {label} (estimate)"
    values = {row.path: row.cycles[label] * rate for row in rows}
    return LinkedRun(title, "s", values, anchors, bounded(cost.cycles * rate, is_complete))


def _measured(item: Measurements, number: int, anchors: Mapping[str, str]) -> Iterator[LinkedRun]:
    """The fastest fp32 row of every layer and arithmetic."""
    fastest: dict[str, dict[str, float]] = {}
    for row in item.rows:
        if row.path and row.dtype == "fp32":
            own = fastest.setdefault(row.arithmetic, {})
            own[row.path] = min(row.median_s, own.get(row.path, row.median_s))
    for arithmetic, values in fastest.items():
        yield LinkedRun(
            f"{number}. {item.model} as {arithmetic}, measured, the fastest", "s", values, anchors
        )
