"""Timings as tables: `addercost bench` lists every row and the sums over layers, and a report lists every
median.
"""

from __future__ import annotations

from typing import Any

from addercost.analysis.layer_sums import layer_sums
from addercost.report.table import Column, Kind, Table
from addercost.report.tables.timing_notes import row_name, timing_notes
from addercost.results.intervals import verdict
from addercost.results.measurements import FailedRow, MeasuredRow, Measurements
from addercost.text import printable
from addercost.units import si

_GIGA = 1e9
WORTH_SAYING = 1.05
"""The least factor of the machine that a line of progress mentions. The tables have every factor."""


def bench_table(measurements: Measurements) -> Table:
    """The table of `addercost bench`: a row for each timing.

    A ratio is the row's time / the time of its reference, which was sampled in turn with it.
    """
    models = _cost_models(measurements)
    columns = [
        Column("path", "layer", Kind.PATH),
        Column("times", "×", Kind.COUNT),
        Column("arithmetic", "as"),
        Column("implementation", "by"),
        Column("dtype", "in"),
        Column("median_s", "median", Kind.QUANTITY, "s"),
        Column("spread", "±", Kind.SHARE, optional=True),
        Column("speed_factor", "machine,\nnow /\nquiet", Kind.RATIO, optional=True),
        Column("ratio", "time /\nreference", Kind.RATIO),
        Column("ratio_interval", "95 %", optional=True),
        Column("verdict", "than the\nreference"),
        Column("converged", "con-\nverged", optional=True),
        Column("reference", "reference", optional=True),
        Column("gsites_per_s", "G sites\n/s", Kind.NUMBER, optional=True),
        Column("share_of_limit", "of its\nlimit", Kind.SHARE, optional=True),
    ]
    columns += [
        Column(f"error:{model}@{hardware}", f"predicted\n/ measured\n{model}", Kind.RATIO, optional=True)
        for hardware, model in models
    ]
    columns += [
        Column("bandwidth_share", "of memory\nbandwidth", Kind.SHARE, optional=True),
        Column("intensity", "ops/byte", Kind.NUMBER, optional=True),
        *(
            Column(
                f"{model}@{hardware}", f"predicted\n{model}\n{hardware}", Kind.QUANTITY, "s", optional=True
            )
            for hardware, model in models
        ),
        Column("samples", "samples", Kind.COUNT, optional=True),
        Column("low_s", "median\nfrom", Kind.QUANTITY, "s", optional=True),
        Column("high_s", "to", Kind.QUANTITY, "s", optional=True),
        Column("bytes_moved", "bytes", Kind.COUNT, optional=True),
        Column("peak_bytes", "peak bytes", Kind.COUNT, optional=True),
        Column("energy_j", "energy", Kind.QUANTITY, "J", optional=True),
        Column("case", "shape", optional=True),
    ]
    rows = [_cells(row, measurements.limits.get("memory")) for row in measurements.rows]
    rows += [_failed_cells(row) for row in measurements.failed]
    kept = [c for c in columns if not c.optional or any(row.get(c.name) is not None for row in rows)]
    cases = list(dict.fromkeys(cells["case"] for cells in rows))
    rows.sort(key=lambda cells: cases.index(cells["case"]))
    return Table(tuple(kept), rows, title=_title(measurements), notes=tuple(timing_notes(measurements)))


def _cells(row: MeasuredRow, bandwidth: float | None) -> dict[str, Any]:
    low, high = row.interval_s or (None, None)
    ratio, interval = row.ratio or (None, None)
    cells: dict[str, Any] = {
        "path": row.path or "(model)",
        "times": row.times,
        "arithmetic": row.arithmetic,
        "implementation": row.implementation,
        "dtype": row.dtype,
        "median_s": row.median_s,
        "spread": row.spread,
        "speed_factor": row.speed_factor,
        "gsites_per_s": None if row.sites_per_s is None else row.sites_per_s / _GIGA,
        "share_of_limit": row.share_of_limit,
        "ratio": ratio,
        "ratio_interval": None if interval is None else f"{interval[0]:.3f}–{interval[1]:.3f}",
        "verdict": None if row.ratio is None else verdict(row.ratio[1]).value,
        "converged": None if row.converged is None else "yes" if row.converged else "no",
        "reference": row.reference or None,
        "bandwidth_share": row.bytes_moved / row.median_s / bandwidth
        if bandwidth and row.bytes_moved
        else None,
        "intensity": row.intensity,
        "samples": len(row.samples_s),
        "low_s": low,
        "high_s": high,
        "bytes_moved": row.bytes_moved or None,
        "peak_bytes": row.peak_bytes,
        "energy_j": row.energy_j,
        "case": row.case,
    }
    return cells | _predicted_cells(row)


def _cost_models(measurements: Measurements) -> list[tuple[str, str]]:
    """(processor, cost model) of every prediction that the rows carry."""
    return list(dict.fromkeys((p.hardware, p.model) for row in measurements.rows for p in row.predicted))


def _predicted_cells(row: MeasuredRow) -> dict[str, Any]:
    """The cells of every prediction: its seconds, and its ratio to the measured median."""
    cells = {}
    for p in row.predicted:
        cells[f"{p.model}@{p.hardware}"] = p.seconds
        cells[f"error:{p.model}@{p.hardware}"] = p.seconds / row.median_s
    return cells


def _failed_cells(row: FailedRow) -> dict[str, Any]:
    return {
        "path": row.path or "(model)",
        "times": row.times,
        "arithmetic": row.arithmetic,
        "implementation": row.implementation,
        "dtype": row.dtype,
        "verdict": "not timed",
        "case": row.case,
    }


def sum_table(measurements: Measurements) -> Table | None:
    """The sums over all layers, and their ratios to the first sum. Contenders that lack a layer have no sum.
    None where the model has one layer.
    """
    times = {row.case: row.times for row in measurements.rows if row.case}
    times |= {row.case: row.times for row in measurements.failed if row.case}
    sums = [item for item in layer_sums(measurements) if item.complete]
    if sum(times.values()) < 2 or not sums:
        return None
    return Table(
        columns=(
            Column("arithmetic", "as"),
            Column("implementation", "by"),
            Column("dtype", "in"),
            Column("seconds", "sum of medians", Kind.QUANTITY, "s"),
            Column("ratio", f"/ {sums[0].label}", Kind.RATIO),
        ),
        rows=[
            {
                "arithmetic": item.arithmetic,
                "implementation": item.implementation,
                "dtype": item.dtype,
                "seconds": item.seconds,
                "ratio": item.seconds / sums[0].seconds,
            }
            for item in sums
        ],
        title=f"{measurements.model}: all {sum(times.values())} layers together",
        notes=("Layers timed one by one and added up, which is no run of the model (--end-to-end is).",),
    )


def device_text(measurements: Measurements) -> str:
    """The device of the timings: `AMD EPYC, 1 thread`."""
    environment = measurements.environment
    device = environment.get("cuda") or environment.get("cpu", "an unnamed machine")
    threads = environment.get("threads")
    return f"{device}, {threads} thread{'s' * (threads != '1')}" if threads else device


def _title(measurements: Measurements) -> str:
    on = device_text(measurements)
    caches = dict.fromkeys(row.cache for row in measurements.rows if row.cache)
    return ", ".join((f"{measurements.model}, measured on {on}", *(f"{c} caches" for c in caches)))


def measured_table(measurements: Measurements) -> Table:
    """The table of a report: a row for each timing with its interval, and a column for each prediction."""
    models = _cost_models(measurements)
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
    if any(row.speed_factor for row in measurements.rows):
        columns.append(Column("speed_factor", "machine, now / quiet", Kind.RATIO))
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
            "speed_factor": row.speed_factor,
        }
        if row.ratio is not None:
            ratio, within = row.ratio
            cells |= {"reference": row.reference, "ratio": ratio, "verdict": verdict(within).value}
            cells |= dict(zip(("ratio_low", "ratio_high"), within or (None, None), strict=True))
        rows.append(cells | _predicted_cells(row))
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


def row_line(entry: MeasuredRow | FailedRow) -> str:
    """A row in one line, which a running benchmark prints as progress."""
    if isinstance(entry, FailedRow):
        return printable(f"{row_name(entry)}: not timed: {entry.reason}")
    text = f"{row_name(entry)}: {si(entry.median_s, 's')}"
    if entry.spread is not None:
        text += f" ± {entry.spread:.1%}"
    if entry.ratio is not None:
        text += f", {entry.ratio[0]:.3f} × {entry.reference}"
    if entry.speed_factor is not None and entry.speed_factor >= WORTH_SAYING:
        text += f", machine {entry.speed_factor:.2f} × its quiet time"
    return printable(f"{text}{', unconverged' if entry.converged is False else ''}")
