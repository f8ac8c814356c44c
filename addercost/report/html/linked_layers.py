"""Compares the models or runs of a page: layers of equal path side by side, each figure linked to its row."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from addercost.analysis.bounds import AtLeast, bound_sign, bound_words, bounded
from addercost.analysis.estimate_ratio import bounded_ratio
from addercost.analysis.layer_rows import labelled_costs, layer_rows
from addercost.report.html.views import TableView, view_of
from addercost.report.subject_answer import ratio_text
from addercost.report.table import Column, Kind, Table
from addercost.results.measurements import Measurements
from addercost.results.report import Subject
from addercost.units import si


@dataclass(frozen=True, slots=True)
class LinkedRun:
    """A column of the comparison. values: the figure of each layer. anchors: the row of each layer elsewhere
    on the page.

    name: the model, with its number on the page. how: the arithmetic and implementation that was measured; ""
    for estimates and counts. unit: s, cycles or operations. Ratios are shown only between columns of equal
    unit. whole: the figure of the whole model, a lower bound where figures are missing; None where only some
    layers were measured.
    """

    name: str
    how: str
    unit: str
    values: Mapping[str, float]
    anchors: Mapping[str, str] = field(default_factory=dict)
    whole: float | None = None


def row_anchors(prefix: str, paths: Sequence[str]) -> tuple[str, ...]:
    """An id for each row of a table of layers. Where several rows have one path, only the first gets an
    id.
    """
    seen: set[str] = set()
    ids = []
    for i, path in enumerate(paths):
        ids.append("" if path in seen else f"{prefix}-l{i}")
        seen.add(path)
    return tuple(ids)


def linked_runs(
    items: Sequence[Subject | Measurements], anchors: Sequence[Mapping[str, str]]
) -> dict[str, list[LinkedRun]]:
    """The runs to compare, grouped by processor or, where models are estimated on none, under operations.
    There is a run for each model and for each measured arithmetic. anchors: for each item of the page, the
    rows by layer.
    """
    estimated: dict[str, list[LinkedRun]] = {}
    measured: list[LinkedRun] = []
    for number, (item, own) in enumerate(zip(items, anchors, strict=True), 1):
        if isinstance(item, Measurements):
            measured += _measured(item, number, own)
        else:
            for place, run in _predicted(item, number, own):
                estimated.setdefault(place, []).append(run)
    if not estimated:
        return {"measured": measured}
    return {place: [*runs, *measured] for place, runs in estimated.items()}


def linked_sentences(place: str, runs: Sequence[LinkedRun]) -> Iterator[str]:
    """Sentences that compare each run with that of another model: as a whole, or else in the layers that both
    have.
    """
    for n, run in enumerate(runs):
        first = _compared_with(runs[:n], run)
        if first is None:
            continue
        shared = [path for path in first.values if path and path in run.values]
        if run.whole is not None and first.whole is not None:
            value, by, where = run.whole, first.whole, ""
            ratio = _whole_ratio(run, first)
        else:
            value, by = (sum(r.values[path] for path in shared) for r in (run, first))
            where = f", in the {len(shared)} layer{'s' * (len(shared) != 1)} that both have"
            ratio = value / by if by else None
        if ratio is not None:
            alike = run.how == first.how
            head = run.how if alike and run.how else place
            names = [r.name if alike or not r.how else f"{r.name} {r.how}" for r in _called(run, first)]
            times = f"{bound_words(ratio)}{ratio_text(ratio)} times"
            verb = (
                f"has {times} as many operations as"
                if run.unit == "operations"
                else f"takes {times} as long as"
            )
            amounts = f"{_amount(value, run.unit)} and {_amount(by, run.unit)}"
            text = f"{head}{where}: {names[0]} {verb} {names[1]} ({amounts})."
            yield text[0].upper() + text[1:]


def _called(*runs: LinkedRun) -> list[LinkedRun]:
    """The runs' names without the models' numbers, if the names differ without them."""
    plain = [replace(run, name=run.name.partition(". ")[2]) for run in runs]
    return plain if len({run.name for run in plain}) == len(plain) else [*runs]


def _compared_with(earlier: Sequence[LinkedRun], run: LinkedRun) -> LinkedRun | None:
    """The run with which a run is compared: the first run of another model that was made in the same way, or
    else the estimate for a first measurement.
    """
    others = [r for r in earlier if r.name != run.name and r.unit == run.unit]
    same = [r for r in others if r.how == run.how]
    is_first = not any(r.name == run.name for r in earlier)
    return next(iter(same or (others if is_first else ())), None)


def _amount(value: float, unit: str) -> str:
    sign = bound_sign(value)
    return f"{sign}{si(value, 's')}" if unit == "s" else f"{sign}{si(value)} {unit}"


def linked_table(place: str, runs: Sequence[LinkedRun]) -> TableView | None:
    """A table with a row of the whole models if their layers differ, then a row for every layer that two runs
    share.

    None if there are no such rows. Operators outside all layers are no shared layer. place: the heading above
    the table.
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
            Column(
                f"run{n}",
                f"{run.name} {run.how}".strip(),
                Kind.COUNT if is_count else Kind.QUANTITY,
                "" if is_count else "s",
            )
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
    return view_of(Table(tuple(columns), rows, title=place, notes=notes, total=total), links=links)


def _whole(runs: Sequence[LinkedRun]) -> dict[str, Any]:
    """The row of the whole models. A ratio is a bound where one of the two figures is one."""
    row: dict[str, Any] = {"path": "the whole model"}
    for n, run in enumerate(runs):
        row[f"run{n}"] = run.whole
        if n and run.unit == runs[0].unit:
            row[f"ratio{n}"] = _whole_ratio(run, runs[0])
    return row


def _whole_ratio(run: LinkedRun, first: LinkedRun) -> float | None:
    """The ratio of two whole models: a bound where one of the figures is one; None where it is not known."""
    if run.whole is None or first.whole is None:
        return None
    is_complete, other_is_complete = (not isinstance(v, AtLeast) for v in (run.whole, first.whole))
    return bounded_ratio(run.whole, is_complete, first.whole, other_is_complete, False)


def _sums(runs: Sequence[LinkedRun], paths: Sequence[str]) -> dict[str, Any]:
    """The last row: the sum over the shared layers, for each run that has all of them, and its ratio to the
    first run's sum.
    """
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


def _predicted(subject: Subject, number: int, anchors: Mapping[str, str]) -> Iterator[tuple[str, LinkedRun]]:
    """(the processor or "operations", the run) for each estimate."""
    rows = layer_rows(subject.first)
    name = f"{number}. {subject.name}"
    counts = subject.first.counts
    costs = {label: cost for label, cost in labelled_costs(subject.first).items() if cost.cycles}
    if not costs:
        values: dict[str, float] = {row.path: row.counts.total for row in rows}
        whole = bounded(counts.total.total, counts.complete)
        yield "counted", LinkedRun(name, "", "operations", values, anchors, whole)
    for label, cost in costs.items():
        is_complete = cost.complete and counts.complete
        rate = cost.seconds_per_cycle
        values = {row.path: row.cycles[label] * (rate or 1) for row in rows}
        whole = bounded(cost.cycles * (rate or 1), is_complete)
        unit = "cycles" if rate is None else "s"
        place = f"estimated for {cost.hardware} by {cost.model}"
        yield place, LinkedRun(name, "", unit, values, anchors, whole)


def _measured(item: Measurements, number: int, anchors: Mapping[str, str]) -> Iterator[LinkedRun]:
    """Runs of measured layers: the fastest fp32 row of each layer and arithmetic."""
    fastest: dict[str, dict[str, float]] = {}
    for row in item.rows:
        if row.path and row.dtype == "fp32":
            own = fastest.setdefault(row.arithmetic, {})
            own[row.path] = min(row.median_s, own.get(row.path, row.median_s))
    for arithmetic, values in fastest.items():
        how = f"as {arithmetic}, measured"
        yield LinkedRun(f"{number}. {item.model}", how, "s", values, anchors)
