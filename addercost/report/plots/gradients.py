"""Norms of the weight gradients over the epochs: a panel for each run, a line for each layer."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

from addercost.errors import ArgumentError
from addercost.report.plots.palette import MARKERS, SERIES
from addercost.report.plots.style import Drawn, PlotOptions, caption, in_style, new_figure, number_axis
from addercost.report.table import Column, Kind, Table
from addercost.results.training import TrainingRun
from addercost.text import printable


@in_style
def draw(runs: Sequence[TrainingRun], options: PlotOptions) -> Drawn:
    """Draws the norms. A norm of zero leaves a gap, since the axis is logarithmic."""
    chosen = [run for run in runs if run.gradient_norms]
    if not chosen:
        raise ArgumentError("none of the training records has gradient norms")
    layers = list(dict.fromkeys(layer for run in chosen for layer in run.gradient_norms))
    left_out = layers[options.top :]
    layers = layers[: options.top]
    across = 1 if options.width == "single" else min(len(chosen), 2)
    down = -(-len(chosen) // across)
    # The legend is above the panels and grows with the number of layers.
    figure = new_figure(options, 0.6 + 2.2 * down + 0.14 * math.ceil(len(layers) / 4))
    flat = [axes for row in figure.subplots(down, across, squeeze=False, sharey=True) for axes in row]
    rows = []
    for axes, run in zip(flat, chosen, strict=False):
        for i, layer in enumerate(layers):
            norms = [n if math.isfinite(n) and n > 0 else math.nan for n in run.gradient_norms.get(layer, ())]
            if not norms:
                continue
            axes.plot(
                range(1, len(norms) + 1),
                norms,
                ("-", "--", "-.", ":")[i // len(SERIES) % 4],
                color=SERIES[i % len(SERIES)][0],
                marker=MARKERS[i % len(MARKERS)],
                markersize=3,
                markevery=max(len(norms) // 8, 1),
                label=printable(layer),
            )
            finite = [n for n in norms if not math.isnan(n)]
            if finite:
                rows.append(
                    {
                        "run": run.name,
                        "layer": layer,
                        "first": finite[0],
                        "median": statistics.median(finite),
                        "last": finite[-1],
                    }
                )
        axes.set_yscale("log")
        number_axis(axes.yaxis)
        axes.set_title(printable(run.name), loc="left")
        axes.set_xlabel("epoch")
        axes.set_ylabel("ℓ2 norm of the gradient")
        axes.yaxis.set_tick_params(labelleft=True)
        axes.grid()
        axes.xaxis.get_major_locator().set_params(integer=True)
    for axes in flat[len(chosen) :]:
        axes.set_axis_off()
    handles, labels = [], []
    for axes in flat[: len(chosen)]:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            if label not in labels:
                handles.append(handle)
                labels.append(label)
    figure.legend(handles, labels, loc="outside upper left", ncols=2 if options.width == "single" else 4)
    caption(
        figure,
        options,
        "mean over the steps of an epoch, before any scaling",
        ", ".join(dict.fromkeys(run.dataset for run in chosen)),
        f"{len(left_out)} more layers left out" if left_out else "",
    )
    return Drawn(
        figure=figure,
        table=Table(
            columns=(
                Column("run", "run"),
                Column("layer", "layer"),
                Column("first", "first epoch", Kind.NUMBER),
                Column("median", "median", Kind.NUMBER),
                Column("last", "last epoch", Kind.NUMBER),
            ),
            rows=rows,
            title="Norms of the weight gradients",
        ),
        bar="median",
        alt=f"Gradient norms by layer of {len(chosen)} training runs.",
    )
