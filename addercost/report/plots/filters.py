"""Filters of one layer as pictures, light where values are large. Each run has its own rows."""

from __future__ import annotations

from collections.abc import Sequence

from addercost.errors import ArgumentError
from addercost.report.plots.style import Drawn, PlotOptions, caption, in_style, new_figure
from addercost.report.table import Column, Kind, Table
from addercost.results.training import TrainingRun
from addercost.text import printable


@in_style
def draw(runs: Sequence[TrainingRun], options: PlotOptions) -> Drawn:
    """Draws the first layer that has filters. Each run has its own grey scale, since adder weights are
    larger.
    """
    with_filters = [run for run in runs if run.filters]
    if not with_filters:
        raise ArgumentError("none of the training records has filters")
    layer = next(iter(with_filters[0].filters))
    chosen = [run for run in with_filters if run.filters.get(layer)]
    most = 8 if options.width == "single" else 16
    shown = [run.filters[layer][: options.top] for run in chosen]
    longest = max(len(kernels) for kernels in shown)
    # Runs with few filters are drawn side by side.
    across = min(max(most // longest, 1), len(chosen))
    wide = min(longest, most // across)
    down = -(-longest // wide)
    lines = -(-len(chosen) // across)
    figure = new_figure(options, 0.3 + lines * (0.3 + 0.9 * options.inches / across / wide * down))
    parts = [part for line in figure.subfigures(lines, across, squeeze=False) for part in line]
    for part, run, kernels in zip(parts, chosen, shown, strict=False):
        values = [value for kernel in kernels for row in kernel for value in row]
        grid = part.subplots(down, wide, squeeze=False)
        for i, axes in enumerate(axes for row in grid for axes in row):
            axes.set_axis_off()
            if i < len(kernels):
                axes.imshow(
                    kernels[i], cmap="gray", vmin=min(values), vmax=max(values), interpolation="nearest"
                )
        part.suptitle(
            f"{printable(run.name)}: black {min(values):.3g}, white {max(values):.3g}",
            fontsize=7,
            x=0.01,
            ha="left",
        )
    left_out = max(len(run.filters[layer]) for run in chosen) - max(len(kernels) for kernels in shown)
    caption(figure, options, f"filters of {layer}", f"{left_out} more left out" if left_out > 0 else "")
    return Drawn(
        figure=figure,
        table=Table(
            columns=(
                Column("run", "run"),
                Column("filters", "filters", Kind.COUNT),
                Column("smallest", "smallest", Kind.NUMBER),
                Column("largest", "largest", Kind.NUMBER),
            ),
            rows=[
                {
                    "run": run.name,
                    "filters": len(kernels),
                    "smallest": min(v for kernel in kernels for row in kernel for v in row),
                    "largest": max(v for kernel in kernels for row in kernel for v in row),
                }
                for run, kernels in zip(chosen, shown, strict=True)
            ],
            title=f"Filters of {layer}",
        ),
        bar="largest",
        alt=f"Filters of {layer} of {len(chosen)} networks.",
    )
