"""The notes below a table of timings: how to read it, what is missing, and where it was measured."""

from __future__ import annotations

from collections.abc import Iterator

from addercost.analysis.layer_sums import rows_missing
from addercost.cost.stated_errors import stated_lines
from addercost.results.intervals import MARGIN
from addercost.results.measurements import FailedRow, MeasuredRow, Measurements

_NAMED = 4
"""The most rows that a note names. If there are more, it gives their number."""


def timing_notes(measurements: Measurements) -> Iterator[str]:
    yield (
        f"± and 95 %: intervals of the median. Faster or slower: the interval of the ratio is beyond 1 ± "
        f"{100 * MARGIN:g} %."
    )
    yield "Ratios are to the reference as it ran in turn with the row, not to its own row."
    yield "Of its limit: the rate over that of the arithmetic's bare inner loop, measured beside the row."
    if factors := [row.speed_factor for row in measurements.rows if row.speed_factor]:
        yield (
            f"Machine, now / quiet: how many times as long a fixed reference beside the samples took as at "
            f"the machine's best known speed; {min(factors):.2f} to {max(factors):.2f} in these rows."
        )
    yield from _unconverged(measurements)
    if missing := rows_missing(measurements):
        yield f"The run was stopped: {missing} of its {measurements.settings['rows']} rows are missing."
    if any(row.predicted for row in measurements.rows):
        yield "Predicted columns are estimates of cost models, not measurements."
        yield from stated_lines([(p.model, p.hardware) for row in measurements.rows for p in row.predicted])
    yield from _not_timed(measurements)
    warned: dict[str, list[str]] = {}
    for timed in measurements.rows:
        for warning in timed.warnings:
            warned.setdefault(warning.partition(" (")[0], []).append(row_name(timed))
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
    """The rows that were not timed. If few share a reason, there is a line for each; else one line for the
    reason, and the table has the names.
    """
    by_reason: dict[str, list[str]] = {}
    for row in measurements.failed:
        by_reason.setdefault(row.reason, []).append(row_name(row))
    for reason, names in by_reason.items():
        if len(names) <= _NAMED:
            yield from (f"not timed: {name}: {reason}" for name in names)
        else:
            yield f"not timed: {len(names)} rows: {reason}"


def _unconverged(measurements: Measurements) -> Iterator[str]:
    names = [row_name(row) for row in measurements.rows if row.converged is False]
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


def row_name(row: MeasuredRow | FailedRow) -> str:
    return f"{row.label} {row.dtype}" if isinstance(row, MeasuredRow) else row.label
