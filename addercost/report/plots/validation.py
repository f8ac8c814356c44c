"""Predicted against measured seconds of networks, with a panel for each predictor. On the diagonal they
agree.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

from addercost.analysis.network_kind import KINDS
from addercost.analysis.validation import BASELINES
from addercost.report.plots.palette import GREY, INK, MARKERS, SERIES
from addercost.report.plots.style import (
    Drawn,
    PlotOptions,
    caption,
    in_style,
    new_figure,
    nothing_to_show,
    si_axis,
)
from addercost.report.tables.validation import networks_table
from addercost.results.validation import Validation, ValidationRow

BAND = 0.10
_COLUMNS = 3
_MOST_SHAPES = 300
"""The most points that are drawn as vectors. More become a picture inside the figure, which has a tenth of
the size.
"""


@in_style
def draw(validation: Validation, options: PlotOptions) -> Drawn:
    """Draws predictions multiplied by the median of measured / predicted, which the panel's title states. The
    band is ± 10 %. Colour and marker stand for the kind of network.
    """
    panels = _panels(validation.rows)
    across = 1 if options.width == "single" else min(_COLUMNS, max(len(panels), 1))
    down = max(math.ceil(len(panels) / across), 1)
    figure = new_figure(options, (2.5 if across > 1 else 3.3) * down + 0.5)
    grid = figure.subplots(down, across, squeeze=False, sharex=True, sharey=True)
    flat = [axes for line in grid for axes in line]
    kinds = [kind for kind in KINDS if any(row.kind == kind for row in validation.rows)]
    for axes, (model, points) in zip(flat, panels.items(), strict=False):
        factor = statistics.median(row.measured_s / value for row, value in points)
        values = [row.measured_s for row, _ in points]
        low, high = min(values) / 1.6, max(values) * 1.6
        axes.fill_between(
            [low, high],
            [low * (1 - BAND), high * (1 - BAND)],
            [low * (1 + BAND), high * (1 + BAND)],
            color=GREY,
            alpha=0.35,
            linewidth=0,
        )
        axes.plot([low, high], [low, high], "-", color=INK, linewidth=0.7)
        for i, kind in enumerate(kinds):
            axes.plot(
                [row.measured_s for row, _ in points if row.kind == kind],
                [factor * value for row, value in points if row.kind == kind],
                linestyle="none",
                marker=MARKERS[i],
                markersize=3,
                markerfacecolor=SERIES[i][0],
                markeredgecolor=INK,
                markeredgewidth=0.2,
                label=kind,
                rasterized=len(points) > _MOST_SHAPES,
            )
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.grid()
        axes.set_title(model if model in BASELINES else f"{model}, × {factor:.3g}")
        si_axis(axes.xaxis, "s")
        si_axis(axes.yaxis, "s")
    for axes in flat[len(panels) :]:
        axes.set_axis_off()
    if panels:
        for axes in flat[max(len(panels) - across, 0) : len(panels)]:
            axes.set_xlabel("measured")
            axes.tick_params(labelbottom=True)
        for line in grid:
            line[0].set_ylabel("predicted, scaled")
        handles, labels = flat[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper left", ncols=len(kinds))
    else:
        nothing_to_show(flat[0], "the validation keeps no rows")
    caption(figure, options, f"{validation.source}; predictions for {validation.hardware}")
    return Drawn(
        figure,
        networks_table(validation),
        "measured_s",
        f"Predicted against measured seconds of {len(validation.rows)} timings of {validation.source}.",
    )


def _panels(rows: Sequence[ValidationRow]) -> dict[str, list[tuple[ValidationRow, float]]]:
    """(row, number) of every predictor, the baselines last."""
    panels: dict[str, list[tuple[ValidationRow, float]]] = {}
    for row in rows:
        for p in row.predicted:
            if p.seconds > 0:
                panels.setdefault(p.model, []).append((row, p.seconds))
    for model, number in (("MACs", "mac_sites"), ("bytes", "bytes_moved")):
        points = [(row, float(getattr(row, number))) for row in rows if getattr(row, number)]
        if points:
            panels[model] = points
    return panels
