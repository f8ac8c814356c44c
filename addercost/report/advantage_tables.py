"""The ranking of processors and the sensitivities of a report as tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from addercost.report.tables import Column, Kind, Table
from addercost.results.report import Sensitivity, Subject


def rank_table(subject: Subject) -> Table:
    """One row a processor and arithmetic, its advantage under each cost model, best first by the first."""
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
        notes=("Above 1 the arithmetic takes fewer cycles. Empty: the table lacks a figure it needs.",),
    )


def sensitivity_table(data: Sensitivity) -> Table:
    """Each figure's range and the ratios at its ends, widest first."""
    notes = []
    if data.ratio_low is not None and data.ratio_high is not None:
        notes.append(
            f"All figures drawn at once: 95 % of ratios from {data.ratio_low:.3f} to {data.ratio_high:.3f}."
        )
    if data.break_even is not None:
        at = f"; this table says {data.mul_add_ratio:.3g}" if data.mul_add_ratio is not None else ""
        notes.append(
            f"Break-even: equal where a multiplication costs {data.break_even:.3g} × an addition{at}."
        )
    return Table(
        columns=(
            Column("figure", "latency of"),
            Column("low", "low (cycles)", Kind.NUMBER),
            Column("high", "high (cycles)", Kind.NUMBER),
            Column("ratio_at_low", f"MAC / {data.arithmetic} at low", Kind.RATIO),
            Column("ratio_at_high", "at high", Kind.RATIO),
        ),
        rows=[
            {
                "figure": s.figure,
                "low": s.low,
                "high": s.high,
                "ratio_at_low": s.ratio_at_low,
                "ratio_at_high": s.ratio_at_high,
            }
            for s in data.swings
        ],
        title=f"{data.hardware}, {data.model}: MAC / {data.arithmetic} is {data.ratio:.3f} (estimate)",
        notes=tuple(notes),
    )
