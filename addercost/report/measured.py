"""Timings as a table: medians with their intervals, and predictions in columns of their own."""

from __future__ import annotations

from typing import Any

from addercost.report.measurements import Measurements
from addercost.report.tables import Column, Kind, Table


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
            *(f"left out: {text}" for text in measurements.left_out),
        ),
    )
