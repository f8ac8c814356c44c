"""Timing samples: a dot for every run, with the median and its 95 % interval."""

from __future__ import annotations

from addercost.report.plots.palette import BLUE, INK, VERMILLION
from addercost.report.plots.style import Drawn, PlotOptions, caption, in_style, new_figure, si_axis
from addercost.report.tables.timings import measured_table
from addercost.results.measurements import MeasuredRow, Measurements
from addercost.text import printable, shortened

EXPLAINED = "dots: runs; line: median; red: its 95 % interval"
_MOST_DOTS = 400
_LOG_FROM = 30
_MOST_ROWS = 32
"""The most rows of a figure, so that it fits on a page."""


@in_style
def draw(measurements: Measurements, options: PlotOptions) -> Drawn:
    """Draws one line for each row. If there are more rows than fit, the slowest are drawn. A wide range gets
    a logarithmic axis.
    """
    most = min(options.top, _MOST_ROWS)
    kept = sorted(range(len(measurements.rows)), key=lambda i: -measurements.rows[i].median_s)[:most]
    rows = [measurements.rows[i] for i in sorted(kept)]
    figure = new_figure(options, 0.9 + 0.27 * max(len(rows), 3))
    axes = figure.subplots()
    for i, row in enumerate(rows):
        n = len(row.samples_s)
        step = max(n // _MOST_DOTS, 1)
        samples = row.samples_s[::step]
        # A fixed zigzag spreads the dots. Random jitter would differ between two runs of the program.
        heights = [i + 0.3 * ((k * 7) % 11 / 10 - 0.5) for k in range(len(samples))]
        axes.plot(samples, heights, linestyle="none", marker=".", markersize=2.5, color=BLUE, alpha=0.55)
        interval = row.interval_s
        if interval is not None:
            axes.plot(interval, (i, i), color=VERMILLION, linewidth=2.2, solid_capstyle="butt")
        axes.plot([row.median_s], [i], marker="|", markersize=9, markeredgewidth=1.4, color=INK)
    everything = [sample for row in rows for sample in row.samples_s]
    if max(everything) / min(everything) > _LOG_FROM:
        axes.set_xscale("log")
    # Without the number format, rows that differ only in it would have equal names.
    several = len({row.dtype for row in rows}) > 1
    names = [_name(row, several, 22 if options.width == "single" else 40) for row in rows]
    axes.set_yticks(range(len(rows)), names, fontsize=6, linespacing=1.15)
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.grid(axis="x")
    si_axis(axes.xaxis, "s")
    axes.tick_params(axis="x", which="minor", labelbottom=False)
    axes.set_xlabel("measured time a run")
    left_out = len(measurements.rows) - len(rows)
    caption(
        figure,
        options,
        f"{measurements.model}; {EXPLAINED}",
        f"{left_out} faster rows left out" if left_out else "",
        f"{len(measurements.left_out)} rows could not be used" if measurements.left_out else "",
    )
    return Drawn(
        figure,
        measured_table(measurements),
        "median_s",
        f"Timing samples of {len(rows)} rows of {measurements.model}, with medians.",
    )


def _name(row: MeasuredRow, has_format: bool, room: int) -> str:
    """The name of a row on two lines: the layer, and the implementation."""
    how = [row.arithmetic, row.implementation, row.dtype if has_format else ""]
    how_text = printable(" ".join(part for part in how if part))
    return f"{shortened(printable(row.path or '(model)'), room)}\n{shortened(how_text, room + 14)}"
