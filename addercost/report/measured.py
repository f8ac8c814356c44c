"""Timings as a table: medians with their intervals, and predictions in columns of their own."""

from __future__ import annotations

from typing import Any

from addercost.report.tables import Column, Kind, Table
from addercost.results.intervals import verdict
from addercost.results.measurements import Measurements
from addercost.units import si


def measured_headline(measurements: Measurements) -> list[tuple[str, str, str]]:
    """(figure, its name, a remark) of whole models that were timed."""
    cards = []
    for row in measurements.rows:
        if not row.path:
            interval = row.interval_s
            spread = f", 95 % within {si(interval[0], 's')} to {si(interval[1], 's')}" if interval else ""
            what = " ".join(part for part in (row.arithmetic, row.implementation, row.dtype) if part)
            cards.append((si(row.median_s, "s"), f"measured, {what}", f"{len(row.samples_s)} runs{spread}"))
    return cards


def measured_table(measurements: Measurements) -> Table:
    """One row a timed thing; error: predicted by measured, less one."""
    models = list(dict.fromkeys((p.hardware, p.model) for row in measurements.rows for p in row.predicted))
    columns = [
        Column("path", "layer", Kind.PATH),
        Column("arithmetic", "arithmetic"),
        Column("implementation", "implementation"),
        Column("dtype", "format"),
        Column("samples", "samples", Kind.COUNT),
        Column("median_s", "measured median", Kind.QUANTITY, "s"),
        Column("low_s", "95 % from", Kind.QUANTITY, "s"),
        Column("high_s", "to", Kind.QUANTITY, "s"),
    ]
    if any(row.reference for row in measurements.rows):
        columns += [
            Column("reference", "reference"),
            Column("ratio", "time / reference", Kind.RATIO),
            Column("ratio_low", "95 % from ", Kind.RATIO),
            Column("ratio_high", "to ", Kind.RATIO),
            Column("verdict", "than the reference"),
        ]
    for hardware, model in models:
        columns += [
            Column(f"{model}@{hardware}", f"predicted, {model} on {hardware}", Kind.QUANTITY, "s"),
            Column(f"error:{model}@{hardware}", "predicted / measured", Kind.RATIO),
        ]
    rows = []
    for row in measurements.rows:
        low, high = row.interval_s or (None, None)
        cells: dict[str, Any] = {
            "path": row.path or "(model)",
            "arithmetic": row.arithmetic,
            "implementation": row.implementation,
            "dtype": row.dtype,
            "samples": len(row.samples_s),
            "median_s": row.median_s,
            "low_s": low,
            "high_s": high,
        }
        if row.ratio is not None:
            ratio, within = row.ratio
            cells |= {"reference": row.reference, "ratio": ratio, "verdict": verdict(within).value}
            cells |= dict(zip(("ratio_low", "ratio_high"), within or (None, None), strict=True))
        for p in row.predicted:
            cells[f"{p.model}@{p.hardware}"] = p.seconds
            cells[f"error:{p.model}@{p.hardware}"] = p.seconds / row.median_s
        rows.append(cells)
    environment = ", ".join(f"{name} {value}" for name, value in measurements.environment.items())
    return Table(
        columns=tuple(columns),
        rows=rows,
        title=f"{measurements.model}, measured",
        notes=(
            f"environment: {environment or 'not recorded'}",
            *(f"not timed: {row.label}: {row.reason}" for row in measurements.failed),
            *(f"left out: {text}" for text in measurements.left_out),
        ),
    )
