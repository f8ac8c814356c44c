"""Architectures of a sweep: one metric against another with the Pareto front, or the best ones by a
metric.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from addercost.analysis.front import pareto_front
from addercost.analysis.rank_correlation import spearman
from addercost.report.plots.labels import along_steps, place_labels
from addercost.report.plots.palette import BLUE, INK, MARKERS, SERIES
from addercost.report.plots.style import (
    Drawn,
    PlotOptions,
    caption,
    in_style,
    new_figure,
    nothing_to_show,
    number_axis,
    si_axis,
)
from addercost.report.table import Column, Kind, Table
from addercost.text import printable, shortened
from addercost.units import si

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MOST_VECTORS = 3_000
"""The most points that are drawn as vectors. More are drawn as a picture, so that the file stays small."""
_LOG_FROM = 30
_MOST_NAMED = 12
_MOST_ROWS = 60


@dataclass(frozen=True, slots=True)
class Swept:
    """The architectures of one arithmetic. x, y: two metrics of each architecture."""

    arithmetic: str
    names: tuple[str, ...]
    x: tuple[float, ...]
    y: tuple[float, ...]


@in_style
def draw_points(
    swept: Sequence[Swept], x: Column, y: Column, options: PlotOptions, source: str, front: bool
) -> Drawn:
    """Draws a mark for each architecture and a colour for each arithmetic.

    front: also draws the line of the architectures that no other beats, where small `x` and large `y` are
    better, and names them. source: the caption's text about the sweep.
    """
    figure = new_figure(options, 3.0 if options.width == "single" else 3.8)
    axes = figure.subplots()
    best = _front(swept) if front else []
    remarks = [source]
    if not any(own.names for own in swept):
        nothing_to_show(axes, "no architecture has both metrics")
    else:
        for i, own in enumerate(swept):
            rho = spearman(own.x, own.y) if len(own.x) > 1 else None
            axes.plot(
                own.x,
                own.y,
                linestyle="none",
                marker=MARKERS[i % len(MARKERS)],
                markersize=2.5 if len(own.x) > 200 else 4,
                color=SERIES[i % len(SERIES)][0],
                markeredgewidth=0,
                alpha=0.6,
                rasterized=len(own.x) > _MOST_VECTORS,
                label=f"{own.arithmetic}, {len(own.names):,}"
                + (f", ρ = {rho:.3f}" if rho is not None else ""),
            )
        _scale(axes, "x", [value for own in swept for value in own.x], x)
        _scale(axes, "y", [value for own in swept for value in own.y], y)
        axes.grid()
        if best:
            axes.step([p[1] for p in best], [p[2] for p in best], where="post", color=INK, linewidth=0.7)
            axes.margins(0.08)
        figure.legend(loc="outside upper left", ncols=1 if options.width == "single" else 3)
        # Names are placed in the space that the longest caption leaves.
        caption(
            figure,
            options,
            *remarks,
            f"line: the {len(best)} that no other beats; named: {len(best)} of them",
        )
        if best:
            step = -(-len(best) // _MOST_NAMED)
            chosen = [(shortened(printable(name), 24), px, py) for name, px, py in best[::step]]
            # Names must cover no point and no part of the line.
            marks = [p for own in swept for p in zip(own.x, own.y, strict=True)][:_MOST_VECTORS]
            line = along_steps(axes, [(px, py) for _, px, py in best])
            without = place_labels(axes, chosen, [*marks, *line])
            remarks.append(
                f"line: the {len(best)} that no other beats; named: {len(chosen) - len(without)} of them"
            )
    caption(figure, options, *remarks)
    rows: list[dict[str, Any]] = [
        {"name": name, "arithmetic": own.arithmetic, x.name: px, y.name: py}
        for own in swept
        for name, px, py in zip(own.names, own.x, own.y, strict=True)
    ]
    columns = (Column("name", "name"), Column("arithmetic", "arithmetic"), x, y)
    title = f"{y.title} against {x.title}"
    return Drawn(
        figure, Table(columns, rows, title, tuple(remarks)), y.name, f"{title} of {len(rows)} architectures."
    )


@in_style
def draw_best(table: Table, metric: Column, options: PlotOptions) -> Drawn:
    """Draws a line for each architecture, the best first, in the order of the table."""
    rows = table.rows[: min(options.top, _MOST_ROWS)]
    figure = new_figure(options, 0.9 + 0.15 * max(len(rows), 4))
    axes = figure.subplots()
    if not rows:
        nothing_to_show(axes, "no architecture has this metric")
    else:
        values = [float(row[metric.name]) for row in rows]
        axes.barh(range(len(rows)), values, height=0.7, color=BLUE, edgecolor=INK, linewidth=0.3)
        for i, value in enumerate(values):
            axes.annotate(
                si(value, metric.unit),
                (value, i),
                xytext=(2, 0),
                textcoords="offset points",
                va="center",
                fontsize=6,
            )
        room = 24 if options.width == "single" else 44
        names = [shortened(f"{row['rank']}. {printable(str(row['name']))}", room) for row in rows]
        axes.set_yticks(range(len(rows)), names, fontsize=6)
        axes.tick_params(axis="y", length=0)
        axes.set_ylim(len(rows) - 0.4, -0.6)
        axes.set_xlim(0, max(values) * 1.15 or 1)
        axes.grid(axis="x")
        si_axis(axes.xaxis, metric.unit)
        axes.set_xlabel(metric.title)
    caption(figure, options, table.title, *table.notes[:1])
    return Drawn(figure, table, metric.name, f"{table.title}: {len(rows)} architectures.")


def _front(swept: Sequence[Swept]) -> list[tuple[str, float, float]]:
    """The front of all arithmetics by rising x: each point has a larger y than every point before it."""
    points = sorted(p for own in swept for p in zip(own.names, own.x, own.y, strict=True))
    return pareto_front(points, lambda p: (p[1], p[2]))


def _scale(axes: Axes, which: str, values: Sequence[float], column: Column) -> None:
    axis = axes.xaxis if which == "x" else axes.yaxis
    if min(values) > 0 and max(values) / min(values) > _LOG_FROM:
        (axes.set_xscale if which == "x" else axes.set_yscale)("log")
    if column.kind in (Kind.COUNT, Kind.QUANTITY):
        si_axis(axis, column.unit)
    else:
        number_axis(axis)
    axis.set_label_text(column.title)
