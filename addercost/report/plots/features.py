"""The two activations before the classifier: a dot for each sample, with a colour and a mark for each
class.
"""

from __future__ import annotations

from collections.abc import Sequence

from addercost.errors import ArgumentError
from addercost.report.plots.palette import GREY, INK, SERIES, YELLOW
from addercost.report.plots.style import Drawn, PlotOptions, caption, in_style, new_figure
from addercost.report.table import Column, Kind, Table
from addercost.results.training import TrainingRun
from addercost.text import printable

_COLOURS = (*(colour for colour, _ in SERIES), YELLOW, GREY, "#000000", "#7a4a1f")
_MARKS = "osD^vP*Xd<"


@in_style
def draw(runs: Sequence[TrainingRun], options: PlotOptions) -> Drawn:
    """Draws one panel for each run. Both axes have the same scale, so that angles and distances are not
    distorted.
    """
    chosen = [run for run in runs if run.features.x]
    if not chosen:
        raise ArgumentError(
            "none of the training records has features",
            "they are the two activations before the classifier of a network such as zoo:lenet++",
        )
    across = 1 if options.width == "single" else min(len(chosen), 2)
    down = -(-len(chosen) // across)
    figure = new_figure(options, 0.6 + options.inches / across * down * 0.95)
    flat = [axes for row in figure.subplots(down, across, squeeze=False) for axes in row]
    labels = sorted({label for run in chosen for label in run.features.label})
    rows = []
    for i, (axes, run) in enumerate(zip(flat, chosen, strict=False)):
        features = run.features
        for k, label in enumerate(labels):
            points = [
                (x, y)
                for x, y, own in zip(features.x, features.y, features.label, strict=True)
                if own == label
            ]
            axes.plot(
                [x for x, _ in points],
                [y for _, y in points],
                linestyle="none",
                marker=_MARKS[k % len(_MARKS)],
                markersize=2.2,
                markeredgewidth=0.15,
                markeredgecolor=INK,
                color=_COLOURS[k % len(_COLOURS)],
                label=str(label) if i == 0 else None,
            )
            if points:
                rows.append({"run": run.name, "class": label, "samples": len(points)})
        axes.set_aspect("equal", adjustable="datalim")
        axes.set_title(printable(run.name), loc="left")
        axes.set_xlabel("feature 1")
        axes.set_ylabel("feature 2")
    for axes in flat[len(chosen) :]:
        axes.set_axis_off()
    figure.legend(loc="outside upper left", ncols=10 if options.width == "double" else 5, markerscale=2)
    caption(figure, options, ", ".join(dict.fromkeys(run.dataset for run in chosen)))
    return Drawn(
        figure=figure,
        table=Table(
            columns=(
                Column("run", "run"),
                Column("class", "class"),
                Column("samples", "samples", Kind.COUNT),
            ),
            rows=rows,
            title="Features by class",
        ),
        bar="samples",
        alt=f"Two-dimensional features of {len(chosen)} networks by class.",
    )
