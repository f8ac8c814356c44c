"""Predicted rate of every layer against sites per byte, under the roofs of one core."""

from __future__ import annotations

from addercost.report.plots.palette import INK, MARKERS, SERIES
from addercost.report.plots.style import (
    Drawn,
    PlotOptions,
    caption,
    in_style,
    new_figure,
    nothing_to_show,
    si_axis,
)
from addercost.report.table import Column, Kind, Table
from addercost.results.report import Roofline
from addercost.units import si


@in_style
def draw(roofline: Roofline, options: PlotOptions, model: str = "") -> Drawn:
    """A site is one input-weight pairing: the same work in every arithmetic, so roofs can be compared."""
    figure = new_figure(options, 3.0 if options.width == "single" else 3.6)
    axes = figure.subplots()
    points = roofline.points
    if not points:
        nothing_to_show(axes, "no layer has input-weight sites and a figure for all of its operations")
    else:
        low = min(p.sites_per_byte for p in points) / 2
        peak = max([*roofline.peaks_sites_per_s.values(), *(p.sites_per_s for p in points)])
        high = max([max(p.sites_per_byte for p in points) * 2, 2 * peak / roofline.bandwidth_bytes_per_s])
        names = list(dict.fromkeys([*roofline.peaks_sites_per_s, *(p.arithmetic for p in points)]))
        for i, name in enumerate(names):
            colour, _ = SERIES[i % len(SERIES)]
            own = [p for p in points if p.arithmetic == name]
            roof = roofline.peaks_sites_per_s.get(name)
            if roof is not None:
                ridge = max(roof / roofline.bandwidth_bytes_per_s, low)
                axes.plot([ridge, max(high, ridge)], [roof, roof], color=colour, linewidth=1.0)
                axes.annotate(
                    f"{name}: {si(roof)} sites/s",
                    (high, roof),
                    xytext=(-2, 2),
                    textcoords="offset points",
                    ha="right",
                    va="bottom",
                    fontsize=6.5,
                )
            axes.plot(
                [p.sites_per_byte for p in own],
                [p.sites_per_s for p in own],
                linestyle="none",
                marker=MARKERS[i % len(MARKERS)],
                markerfacecolor=colour,
                markeredgecolor=INK,
                markeredgewidth=0.3,
                label=f"{name} ({len(own)} layers)",
            )
        ridge = peak / roofline.bandwidth_bytes_per_s
        axes.plot(
            [low, ridge],
            [low * roofline.bandwidth_bytes_per_s, peak],
            color=INK,
            linewidth=1.0,
            label=f"memory, {si(roofline.bandwidth_bytes_per_s, 'B/s')}",
        )
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.grid(which="major")
        axes.set_ylim(top=peak * 1.8)
        si_axis(axes.xaxis)
        si_axis(axes.yaxis)
        axes.set_xlabel("operational intensity (sites/byte)")
        axes.set_ylabel("predicted rate (sites/s)")
        figure.legend(loc="outside upper left", ncols=2 if options.width == "single" else 4)
    left_out = f"{roofline.left_out:,} smaller layers left out" if roofline.left_out else ""
    caption(figure, options, model, f"roofline model (estimate), one core of {roofline.hardware}", left_out)
    return Drawn(
        figure=figure,
        table=Table(
            columns=(
                Column("path", "layer", Kind.PATH),
                Column("arithmetic", "arithmetic"),
                Column("sites", "sites", Kind.COUNT),
                Column("sites_per_byte", "sites per\nbyte", Kind.NUMBER),
                Column("sites_per_s", "predicted", Kind.QUANTITY, "sites/s"),
                Column("bound", "bound by"),
            ),
            rows=[
                {
                    "path": p.path or "(model)",
                    "arithmetic": p.arithmetic,
                    "sites": p.sites,
                    "sites_per_byte": p.sites_per_byte,
                    "sites_per_s": p.sites_per_s,
                    "bound": p.bound,
                }
                for p in points
            ],
            title=f"{model + ': ' if model else ''}roofline of {roofline.hardware}, estimates",
            notes=(*roofline.assumptions, *([left_out] if left_out else [])),
        ),
        bar="sites_per_s",
        alt=f"Predicted rate of {len(points)} layers against operational intensity on {roofline.hardware}.",
    )
