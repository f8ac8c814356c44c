"""Processors sorted by the advantage of another arithmetic: the table of `addercost rank`, and that of a
report.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from addercost.cost.rank import RankRow
from addercost.cost.stated_errors import stated_lines
from addercost.report.table import Column, Kind, Table
from addercost.results.report import Subject

_EQUAL = 0.005
"""A ratio that is nearer to 1 than this counts as equal. Ratios are printed with three decimals."""


def rank_table(
    rows: Sequence[RankRow],
    alternatives: Sequence[str],
    title: str,
    caveats: Mapping[str, str],
    top: int | None = None,
) -> Table:
    """The table of `addercost rank`: a row for each processor and cost model.

    Above a ratio of 1 the alternative takes fewer cycles.

    caveats: doubts about a processor's table, by processor. top: the most rows of each cost model.
    """
    answer = _answer(rows, alternatives[0]) if rows and alternatives else ""
    if top is not None:
        models = dict.fromkeys(row.model for row in rows)
        rows = [row for model in models for row in [r for r in rows if r.model == model][:top]]
    baseline = rows[0].baseline if rows else "mac"
    doubted = any(caveats.get(row.hardware) for row in rows)
    columns = (
        Column("model", "cost model"),
        Column("hardware", "processor"),
        Column(f"{baseline}_cycles", f"{baseline}\ncycles", Kind.COUNT),
        *(Column(f"{name}_cycles", f"{name}\ncycles", Kind.COUNT, optional=True) for name in alternatives),
        *(Column(f"{name}_advantage", f"{baseline} /\n{name}", Kind.RATIO) for name in alternatives),
        *([Column("caveat", "caveat", optional=True)] if doubted else []),
    )
    found: list[dict[str, Any]] = []
    for row in rows:
        cells: dict[str, Any] = {"model": row.model, "hardware": row.hardware}
        cells["caveat"] = caveats.get(row.hardware, "")
        cells |= {f"{name}_cycles": row.cycles[name] for name in (baseline, *alternatives)}
        cells |= {f"{name}_advantage": row.advantage(name) for name in alternatives}
        found.append(cells)
    unknown = sum(any(c is None for c in row.cycles.values()) for row in rows)
    models = dict.fromkeys(row.model for row in rows)
    notes = ["estimates, not measurements"]
    if len(models) > 1:
        notes = [f"{notes[0]}; compare ratios by one cost model, not by two ({', '.join(models)})"]
    if {"latency-sum", "throughput"} <= models.keys():
        notes[0] += ": latency-sum overlaps nothing, throughput everything"
    notes += stated_lines([(row.model, "") for row in rows])
    if unknown:
        have = "1 row has" if unknown == 1 else f"{unknown} rows have"
        notes.append(f"{have} empty cells: the processor's table lacks a figure they need")
    # The column seldom fits a terminal, and a rank by a doubtful figure must not be shown without its caveat.
    doubtful = dict.fromkeys(row.hardware for row in rows if caveats.get(row.hardware))
    notes += [f"{hardware}: {caveats[hardware]}" for hardware in doubtful]
    return Table(columns, found, title=title, notes=tuple(notes), answer=answer)


def _answer(rows: Sequence[RankRow], alternative: str) -> str:
    """The answer: on how many processors the alternative takes fewer cycles, by each cost model."""
    found = []
    for model in dict.fromkeys(row.model for row in rows):
        ratios = [row.advantage(alternative) for row in rows if row.model == model]
        known = [ratio for ratio in ratios if ratio is not None]
        fewer = sum(ratio > 1 + _EQUAL for ratio in known)
        equal = sum(abs(ratio - 1) <= _EQUAL for ratio in known)
        found.append(f"on {fewer} of {len(known)} by {model} (as many on {equal})")
    return f"{alternative} layers take fewer cycles than {rows[0].baseline} layers {', '.join(found)}"


def advantage_table(subject: Subject) -> Table:
    """The table of a report: a row for each processor and arithmetic, with a ratio under each cost model.

    Rows are in the order of the first model's ratio, the largest first.
    """
    models = list(dict.fromkeys(r.model for r in subject.ranked))
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    for r in subject.ranked:
        row = rows.setdefault(
            (r.arithmetic, r.hardware),
            {"hardware": r.hardware, "arithmetic": r.arithmetic, "caveat": r.caveat},
        )
        row[r.model] = r.ratio
    named = [model for model in models if any(model in row for row in rows.values())]

    def order(row: Mapping[str, Any]) -> tuple[Any, ...]:
        return (row["arithmetic"], *(-row.get(model, 0.0) for model in named), row["hardware"])

    has_gaps = any(model not in row for row in rows.values() for model in named)
    columns = [
        Column("hardware", "processor"),
        Column("arithmetic", "arithmetic"),
        *(Column(model, f"MAC / arithmetic,\n{model}", Kind.RATIO) for model in named),
    ]
    if any(row["caveat"] for row in rows.values()):
        columns.append(Column("caveat", "caveat", optional=True))
    return Table(
        columns=tuple(columns),
        rows=sorted(rows.values(), key=order),
        title=f"{subject.name}: advantage by processor (estimates)",
        notes=(
            "Above 1 the arithmetic takes fewer cycles; at 1 both take the same.",
            *(["Empty: the processor's table lacks a figure."] if has_gaps else []),
        ),
    )
