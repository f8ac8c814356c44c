"""Time against energy of many accelerators: a colour for each element, and rings around the designs on the
Pareto front.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from addercost.cost.accelerator.designs import Designs
from addercost.report.plots.palette import INK, SERIES
from addercost.report.plots.style import Drawn, PlotOptions, caption, in_style, new_figure, si_axis
from addercost.report.tables.designs import designs_table

_MOST_POINTS = 4000
"""The most points of one element. More would hide each other and make the file large."""


@in_style
def draw(name: str, designs: Designs, best: Sequence[int], options: PlotOptions) -> Drawn:
    """Draws the designs. best: positions of those that no other with equal element and format beats."""
    figure = new_figure(options, 2.9 if options.width == "single" else 3.6)
    axes = figure.subplots()
    left_out = 0
    for e, kind in enumerate(designs.space.kinds):
        own = np.flatnonzero(designs.kind == e)
        step = max(-(-len(own) // _MOST_POINTS), 1)
        left_out += len(own) - len(own[::step])
        if len(own):
            axes.plot(
                designs.seconds[own[::step]],
                designs.energy_j[own[::step]],
                linestyle="none",
                marker=".",
                markersize=2,
                markeredgewidth=0,
                alpha=0.5,
                color=SERIES[e % len(SERIES)][0],
                rasterized=True,
                label=kind.value,
            )
    axes.plot(
        designs.seconds[list(best)],
        designs.energy_j[list(best)],
        linestyle="none",
        marker="o",
        markersize=2.5,
        markerfacecolor="none",
        markeredgecolor=INK,
        markeredgewidth=0.7,
        label="no other of the same element and format beats these",
    )
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.grid()
    si_axis(axes.xaxis, "s")
    si_axis(axes.yaxis, "J")
    axes.set_xlabel("estimated time")
    axes.set_ylabel("estimated energy")
    figure.legend(loc="outside upper left", ncols=2 if options.width == "single" else 6, markerscale=3)
    caption(
        figure,
        options,
        f"{name} on {len(designs.cycles):,} designs with the memories of {designs.space.accelerator.name}",
        f"{left_out:,} points not drawn" if left_out else "",
    )
    return Drawn(
        figure=figure,
        table=designs_table(name, designs, best, on_front=True),
        bar="energy_j",
        alt=f"Time against energy of {name} on {len(designs.cycles):,} accelerator designs.",
    )
