"""How each latency changes a ratio of cycles: the table of `addercost sensitivity`, and that of a report."""

from __future__ import annotations

from addercost.analysis.sensitivity import RatioSensitivity
from addercost.cost.target import Target
from addercost.report.table import Column, Kind, Table
from addercost.results.report import Sensitivity


def sensitivity_table(
    model: str, target: Target, found: RatioSensitivity, names: tuple[str, str], spread: float, draws: int
) -> Table:
    """The table of `addercost sensitivity`: a row for each latency. The notes have the random draws and the
    break-even.

    names: the names of the two networks. spread, draws: the arguments with which `found` was made.
    """
    notes = [f"a figure without a range of its own moves by ±{100 * spread:g} %, an assumption"]
    if found.ratio is None or found.drawn is None:
        notes.append(f"{target.name} has no latency of {', '.join(found.lacking)}: no ratio can be given")
    else:
        drawn = found.drawn
        notes += [
            f"nominal {names[0]} / {names[1]} {found.ratio:.3f}×",
            f"{draws:,} draws of all figures: median {drawn.median:.3f}×, 95 % within {drawn.low:.3f}× to "
            f"{drawn.high:.3f}×, {100 * drawn.above_one_fraction:.1f} % above 1",
        ]
    if found.no_break_even:
        notes.append(f"no break-even ratio: {found.no_break_even}")
    elif found.break_even is not None:
        notes.append(f"break-even: equal where a multiplication costs {found.break_even:.3f} additions")
    return Table(
        columns=(
            Column("figure", "latency of"),
            Column("low_cycles", "low\ncycles", Kind.NUMBER),
            Column("high_cycles", "high\ncycles", Kind.NUMBER),
            Column("advantage_at_low", f"{names[0]} / {names[1]}\nat low", Kind.RATIO),
            Column("advantage_at_high", "at high", Kind.RATIO),
            Column("swing", "swing", Kind.NUMBER),
        ),
        rows=[
            {
                "figure": swing.figure,
                "low_cycles": swing.low,
                "high_cycles": swing.high,
                "advantage_at_low": swing.ratio_at_low,
                "advantage_at_high": swing.ratio_at_high,
                "swing": swing.width,
            }
            for swing in found.swings
        ],
        title=f"{model}: sensitivity on {target.title}, latency-sum model",
        notes=tuple(notes),
    )


def report_sensitivity_table(data: Sensitivity) -> Table:
    """The table of a report: the range of each latency and the ratios at its ends, the widest swing first."""
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
