"""A benchmark as tables: every row, and the sum over a model's layers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from addercost.report.tables import Column, Kind, Table
from addercost.results.intervals import MARGIN, verdict
from addercost.results.measurements import FailedRow, MeasuredRow, Measurements
from addercost.text import printable
from addercost.units import si

_GIGA = 1e9
_NAMED = 4
"""So many rows are named in a note; more are counted."""


def bench_table(measurements: Measurements) -> Table:
    """One row a timing; ratios are of a row's time to that of its reference, sampled in turn with it."""
    models = list(dict.fromkeys((p.hardware, p.model) for row in measurements.rows for p in row.predicted))
    columns = [
        Column("path", "layer", Kind.PATH),
        Column("times", "×", Kind.COUNT),
        Column("arithmetic", "as"),
        Column("implementation", "by"),
        Column("dtype", "in"),
        Column("median_s", "median", Kind.QUANTITY, "s"),
        Column("spread", "±", Kind.SHARE, optional=True),
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
    return Table(tuple(kept), rows, title=_title(measurements), notes=tuple(_notes(measurements)))


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


@dataclass(frozen=True, slots=True)
class LayerSum:
    """All layers of a model computed in one way, timed one by one and added up. complete: none is missing."""

    arithmetic: str
    implementation: str
    dtype: str
    seconds: float
    complete: bool

    @property
    def label(self) -> str:
        return f"{self.implementation} {self.dtype}"


def rows_missing(measurements: Measurements) -> int:
    """How many rows a run that was stopped had still before it."""
    planned = measurements.settings.get("rows", "")
    there = len(measurements.rows) + len(measurements.failed) + len(measurements.left_out)
    return max(0, int(planned) - there) if planned.isdecimal() else 0


def layer_sums(measurements: Measurements) -> tuple[LayerSum, ...]:
    """Medians times how often each shape occurs, for each way to compute them. Of a run that was stopped none
    is complete: it does not know the shapes it did not come to."""
    layers = [row for row in measurements.rows if row.case]
    everywhere = {row.case for row in layers} | {row.case for row in measurements.failed if row.case}
    found: dict[tuple[str, str, str], dict[str, float]] = {}
    for row in layers:
        parts = found.setdefault((row.arithmetic, row.implementation, row.dtype), {})
        parts[row.case] = row.times * row.median_s
    whole = not rows_missing(measurements)
    return tuple(
        LayerSum(*key, sum(parts.values()), whole and parts.keys() == everywhere)
        for key, parts in found.items()
    )


def sum_table(measurements: Measurements) -> Table | None:
    """The sums that leave no layer out, against the first of them; None where there is one layer."""
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


def _title(measurements: Measurements) -> str:
    environment = measurements.environment
    device = environment.get("cuda") or environment.get("cpu", "an unnamed machine")
    threads = environment.get("threads")
    on = f"{device}, {threads} thread{'s' * (threads != '1')}" if threads else device
    caches = dict.fromkeys(row.cache for row in measurements.rows if row.cache)
    return ", ".join((f"{measurements.model}, measured on {on}", *(f"{c} caches" for c in caches)))


def _notes(measurements: Measurements) -> Iterator[str]:
    yield (
        f"± and 95 %: intervals of the median. Faster or slower: the interval of the ratio lies beyond 1 ± "
        f"{100 * MARGIN:g} %."
    )
    yield "Ratios are to the reference as it ran in turn with the row, not to its own row."
    yield "Of its limit: the rate over that of the arithmetic's bare inner loop, measured beside the row."
    yield from _unconverged(measurements)
    if missing := rows_missing(measurements):
        yield f"The run was stopped: {missing} of its {measurements.settings['rows']} rows are missing."
    if any(row.predicted for row in measurements.rows):
        yield "Predicted columns are estimates of cost models, not measurements."
    yield from _not_timed(measurements)
    warned: dict[str, list[str]] = {}
    for timed in measurements.rows:
        for warning in timed.warnings:
            warned.setdefault(warning.partition(" (")[0], []).append(_name(timed))
    for warning, names in warned.items():
        yield f"{warning}: {len(names)} of {len(measurements.rows)} rows"
    yield from (f"left out: {text}" for text in measurements.left_out)
    yield from measurements.notes
    shown = (
        "system",
        "python",
        "torch",
        "halide",
        "triton",
        "addercost",
        "commit",
        "date",
        "pinned",
        "clock",
    )
    facts = (f"{name} {measurements.environment[name]}" for name in shown if name in measurements.environment)
    yield f"environment: {', '.join(facts)}"


def _not_timed(measurements: Measurements) -> Iterator[str]:
    """Row by row where a reason is that of few; the table has the names of the others."""
    by_reason: dict[str, list[str]] = {}
    for row in measurements.failed:
        by_reason.setdefault(row.reason, []).append(_name(row))
    for reason, names in by_reason.items():
        if len(names) <= _NAMED:
            yield from (f"not timed: {name}: {reason}" for name in names)
        else:
            yield f"not timed: {len(names)} rows: {reason}"


def _unconverged(measurements: Measurements) -> Iterator[str]:
    names = [_name(row) for row in measurements.rows if row.converged is False]
    if names:
        which = f" ({', '.join(names)})" if len(names) <= _NAMED else ""
        asked = measurements.settings.get("precision")
        yield (
            f"{len(names)} of {len(measurements.rows)} rows unconverged: when the time limit came, their "
            f"intervals were wider than the precision asked for{_as_percent(asked)}"
            f"{which}"
        )


def _as_percent(share: str | None) -> str:
    try:
        return f", {100 * float(share):g} % of the median" if share else ""
    except ValueError:
        return f", {share}"


def _name(row: MeasuredRow | FailedRow) -> str:
    return f"{row.label} {row.dtype}" if isinstance(row, MeasuredRow) else row.label


def row_line(entry: MeasuredRow | FailedRow) -> str:
    """One row in one line, for progress."""
    if isinstance(entry, FailedRow):
        return printable(f"{_name(entry)}: not timed: {entry.reason}")
    text = f"{_name(entry)}: {si(entry.median_s, 's')}"
    if entry.spread is not None:
        text += f" ± {entry.spread:.1%}"
    if entry.ratio is not None:
        text += f", {entry.ratio[0]:.3f} × {entry.reference}"
    return printable(f"{text}{', unconverged' if entry.converged is False else ''}")
