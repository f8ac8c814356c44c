"""Training curves: a panel for each quantity, a line for each run."""

from __future__ import annotations

from collections.abc import Sequence

from addercost.errors import ArgumentError
from addercost.report.plots.palette import MARKERS, SERIES
from addercost.report.plots.style import Drawn, PlotOptions, caption, in_style, new_figure
from addercost.report.table import Column, Kind, Table
from addercost.results.training import TrainingRun
from addercost.text import printable

_STYLES = ("-", "--", "-.", ":")


@in_style
def draw(runs: Sequence[TrainingRun], options: PlotOptions) -> Drawn:
    """Draws the curves. An epoch without a number leaves a gap. Raises ArgumentError where no run has a
    curve.
    """
    quantities = list(dict.fromkeys(name for run in runs for name in run.curves if run.finite_curve(name)))
    if not quantities:
        raise ArgumentError("none of the training records has a curve")
    across = 1 if options.width == "single" else min(len(quantities), 2)
    down = -(-len(quantities) // across)
    figure = new_figure(options, 0.7 + 2.1 * down)
    flat = [axes for row in figure.subplots(down, across, squeeze=False) for axes in row]
    for axes, quantity in zip(flat, quantities, strict=False):
        for i, run in enumerate(runs):
            if quantity not in run.curves:
                continue
            points = run.finite_curve(quantity)
            axes.plot(
                [epoch for epoch, _ in points],
                [value for _, value in points],
                _STYLES[i % len(_STYLES)],
                color=SERIES[i % len(SERIES)][0],
                marker=MARKERS[i % len(MARKERS)],
                markersize=3,
                markevery=max(len(points) // 8, 1),
                label=printable(run.name),
            )
        axes.set_xlabel("epoch")
        axes.set_ylabel(printable(quantity))
        axes.grid()
        axes.xaxis.get_major_locator().set_params(integer=True)
    for axes in flat[len(quantities) :]:
        axes.set_axis_off()
    handles, labels = [], []
    for axes in flat[: len(quantities)]:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            if label not in labels:
                handles.append(handle)
                labels.append(label)
    figure.legend(handles, labels, loc="outside upper left", ncols=1 if options.width == "single" else 3)
    caption(figure, options, ", ".join(dict.fromkeys(run.dataset for run in runs)))
    rows = [
        {"run": run.name, "quantity": name, "last": points[-1][1], "best": max(v for _, v in points)}
        for run in runs
        for name in run.curves
        if (points := run.finite_curve(name))
    ]
    return Drawn(
        figure=figure,
        table=Table(
            columns=(
                Column("run", "run"),
                Column("quantity", "quantity"),
                Column("last", "last", Kind.NUMBER),
                Column("best", "largest", Kind.NUMBER),
            ),
            rows=rows,
            title="Training curves",
        ),
        bar="last",
        alt=f"Curves of {len(runs)} training runs.",
    )
