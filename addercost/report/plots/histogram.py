"""Histograms of weights, with the Gaussian and the Laplacian distribution of equal centre and spread."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

from addercost.errors import ArgumentError
from addercost.report.plots.palette import INK, SERIES
from addercost.report.plots.style import Drawn, PlotOptions, caption, in_style, new_figure
from addercost.report.table import Column, Kind, Table
from addercost.results.training import TrainingRun
from addercost.text import printable

_BINS = 60


@in_style
def draw(runs: Sequence[TrainingRun], options: PlotOptions) -> Drawn:
    """Draws one panel for each run and layer.

    The Gaussian has the mean and standard deviation of the weights. The Laplacian has their median, and their
    mean distance from the median.
    """
    panels = [
        (run, layer, weights) for run in runs for layer, weights in run.weights.items() if len(weights) > 1
    ]
    if not panels:
        raise ArgumentError("none of the training records has weights")
    left_out = len(panels) - len(panels[: options.top])
    panels = panels[: options.top]
    across = 1 if options.width == "single" else min(len(panels), 3)
    down = -(-len(panels) // across)
    figure = new_figure(options, 0.6 + 1.7 * down)
    flat = [axes for row in figure.subplots(down, across, squeeze=False) for axes in row]
    rows, labelled = [], False
    for axes, (run, layer, weights) in zip(flat, panels, strict=False):
        mean, deviation = statistics.fmean(weights), statistics.pstdev(weights)
        middle = statistics.median(weights)
        distance = statistics.fmean(abs(w - middle) for w in weights)
        names = list(dict.fromkeys(r.name for r, _, _ in panels))
        colour, _ = SERIES[names.index(run.name) % len(SERIES)]
        axes.hist(weights, bins=_BINS, density=True, color=colour, edgecolor="none", alpha=0.75)
        if deviation > 0 and distance > 0:
            low, high = min(weights), max(weights)
            xs = [low + (high - low) * k / 200 for k in range(201)]
            gauss = [
                math.exp(-(((x - mean) / deviation) ** 2) / 2) / (deviation * math.sqrt(2 * math.pi))
                for x in xs
            ]
            laplace = [math.exp(-abs(x - middle) / distance) / (2 * distance) for x in xs]
            axes.plot(xs, gauss, "-", color=INK, linewidth=0.9, label=None if labelled else "Gaussian")
            axes.plot(xs, laplace, "--", color=INK, linewidth=0.9, label=None if labelled else "Laplacian")
            labelled = True
        axes.set_title(f"{printable(run.name)}, {printable(layer)}", loc="left")
        axes.set_xlabel("weight")
        axes.set_ylabel("density")
        rows.append(
            {
                "run": run.name,
                "layer": layer,
                "weights": len(weights),
                "mean": mean,
                "deviation": deviation,
                "closer": _closer(deviation, distance),
            }
        )
    for axes in flat[len(panels) :]:
        axes.set_axis_off()
    if labelled:
        figure.legend(loc="outside upper left", ncols=2)
    caption(figure, options, f"{left_out} more layers left out" if left_out else "")
    return Drawn(
        figure=figure,
        table=Table(
            columns=(
                Column("run", "run"),
                Column("layer", "layer"),
                Column("weights", "weights", Kind.COUNT),
                Column("mean", "mean", Kind.NUMBER),
                Column("deviation", "standard deviation", Kind.NUMBER),
                Column("closer", "closer to"),
            ),
            rows=rows,
            title="Weights",
            notes=("closer to: under which of the two, fitted, the weights are likelier.",),
        ),
        bar="deviation",
        alt=f"Histograms of the weights of {len(panels)} layers.",
    )


def _closer(deviation: float, distance: float) -> str | None:
    """The name of the fit with the larger likelihood: compares the mean log densities -ln(σ√(2πe)) and
    -ln(2be).
    """
    if deviation <= 0 or distance <= 0:
        return None
    gaussian = -math.log(deviation * math.sqrt(2 * math.pi * math.e))
    laplacian = -math.log(2 * distance * math.e)
    return "Gaussian" if gaussian > laplacian else "Laplacian"
