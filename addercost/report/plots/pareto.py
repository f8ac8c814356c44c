"""Accuracy against estimated cost. Hollow marks are accuracies that the paper prints, full marks networks
that were trained here.
"""

from __future__ import annotations

from collections.abc import Sequence

from addercost.analysis.pareto import CONVENTION, Pareto, front
from addercost.report.plots.labels import along_steps, place_labels
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
from addercost.text import printable

_LEAST_SPAN = 2.0
"""The least length of the accuracy axis in percentage points, for accuracies that are all equal."""


@in_style
def draw(data: Pareto, options: PlotOptions) -> Drawn:
    """Draws one colour for each arithmetic. The line joins the networks that no other beats in both accuracy
    and cost.
    """
    shown = [p for p in data.points if p.cost is not None]
    figure = new_figure(options, 2.8 if options.width == "single" else 3.6)
    axes = figure.subplots()
    names = list(dict.fromkeys(p.arithmetic for p in data.points))
    unknown = [p for p in data.points if p.cost is None]
    notes = [f"published: Chen et al., CVPR 2020; costs are estimates, convention {CONVENTION}"]
    if unknown:
        notes.append(f"{len(unknown)} networks left out: the table lacks a figure for them")
    caption(figure, options, *notes)
    if not shown:
        nothing_to_show(axes, "no network has both an accuracy and a cost")
    else:
        best = front(shown)
        axes.step(
            [p.cost or 0 for p in best],
            [p.accuracy_percent for p in best],
            where="post",
            color=INK,
            linewidth=0.7,
            linestyle=":",
        )
        for i, name in enumerate(names):
            for published in (True, False):
                own = [p for p in shown if p.arithmetic == name and p.published is published]
                if own:
                    axes.plot(
                        [p.cost or 0 for p in own],
                        [p.accuracy_percent for p in own],
                        linestyle="none",
                        marker=MARKERS[i % len(MARKERS)],
                        markersize=6,
                        markerfacecolor="none" if published else SERIES[i % len(SERIES)][0],
                        markeredgecolor=SERIES[i % len(SERIES)][0],
                        markeredgewidth=1.3,
                        label=f"{name}, {'published' if published else 'trained'}",
                    )
        axes.set_xscale("log")
        axes.margins(x=0.2, y=0.12)
        axes.grid()
        si_axis(axes.xaxis, data.unit)
        axes.set_ylim(*_accuracy_limits(axes.get_ylim(), [p.accuracy_percent for p in shown]))
        axes.set_xlabel(data.quantity)
        axes.set_ylabel(f"top-1 accuracy on {printable(data.dataset)} (%)")
        figure.legend(loc="outside upper left", ncols=2 if options.width == "single" else 3)
        places = [(p.label, p.cost or 0.0, p.accuracy_percent) for p in shown]
        without = place_labels(
            axes, places, along_steps(axes, [(p.cost or 0.0, p.accuracy_percent) for p in best])
        )
        if without:
            caption(figure, options, *notes, f"{len(without)} names left out for lack of room")
    return Drawn(
        figure=figure,
        table=Table(
            columns=(
                Column("label", "network"),
                Column("arithmetic", "arithmetic"),
                Column("origin", "accuracy is"),
                Column("accuracy", "accuracy (%)", Kind.NUMBER),
                Column("cost", data.quantity, Kind.QUANTITY, data.unit),
            ),
            rows=[
                {
                    "label": p.label,
                    "arithmetic": p.arithmetic,
                    "origin": "published" if p.published else "trained",
                    "accuracy": p.accuracy_percent,
                    "cost": p.cost,
                }
                for p in data.points
            ],
            title=f"{data.dataset}: accuracy against {data.quantity}",
        ),
        bar="accuracy",
        alt=f"Accuracy of {len(shown)} networks on {data.dataset} against {data.quantity}.",
    )


def _accuracy_limits(limits: tuple[float, float], accuracies: Sequence[float]) -> tuple[float, float]:
    """The limits of matplotlib, changed where accuracies are nearly equal, and to end at 100 %."""
    low, high = limits
    middle = (min(accuracies) + max(accuracies)) / 2
    if max(accuracies) - min(accuracies) < _LEAST_SPAN / 2:
        low, high = middle - _LEAST_SPAN / 2, middle + _LEAST_SPAN / 2
    return low, min(high, 100 + 0.02 * (high - low))
