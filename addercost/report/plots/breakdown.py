"""Operations of each layer, stacked by class: as numbers, or as shares of the layer."""

from __future__ import annotations

from addercost.arithmetic import OpClass
from addercost.report.plots.palette import INK, OP_CLASSES
from addercost.report.plots.rows import fitting_rows
from addercost.report.plots.style import (
    Drawn,
    PlotOptions,
    caption,
    in_style,
    new_figure,
    nothing_to_show,
    percent_axis,
    si_axis,
)
from addercost.report.table import Column, Kind, Table
from addercost.results.profile import Profile
from addercost.text import printable, shortened

_ROW_INCHES = 0.15
_MARGIN_INCHES = 0.85


@in_style
def draw(profile: Profile, options: PlotOptions) -> Drawn:
    """One bar a layer or module, in the order they run."""
    rows, remark = fitting_rows(profile, options.top, lambda row: row.counts.total)
    classes = [c for c in OpClass if any(row.counts[c] for row in rows)]
    figure = new_figure(options, _MARGIN_INCHES + _ROW_INCHES * max(len(rows), 4))
    axes = figure.subplots()
    if not rows:
        nothing_to_show(axes, "no operations were counted")
    else:
        places = range(len(rows))
        left = [0.0] * len(rows)
        for op_class in classes:
            colour, hatch = OP_CLASSES[op_class]
            widths = [row.counts[op_class] / (row.counts.total if options.share else 1) for row in rows]
            axes.barh(
                places,
                widths,
                left=left,
                height=0.78,
                color=colour,
                hatch=hatch,
                edgecolor=INK,
                linewidth=0.3,
                label=op_class.value,
            )
            left = [a + b for a, b in zip(left, widths, strict=True)]
        room = 24 if options.width == "single" else 44
        axes.set_yticks(list(places), [shortened(printable(row.path or "(model)"), room) for row in rows])
        axes.tick_params(axis="y", length=0)
        axes.invert_yaxis()
        axes.margins(y=0.01)
        axes.grid(axis="x")
        if options.share:
            percent_axis(axes.xaxis)
            axes.set_xlim(0, 1)
        else:
            si_axis(axes.xaxis)
        axes.set_xlabel("share of the layer's operations" if options.share else "operations")
        figure.legend(
            loc="outside upper left", ncols=min(len(classes), 4 if options.width == "single" else 8)
        )
    counts = profile.counts
    caption(figure, options, f"{counts.model}, convention {counts.convention.name}", remark)
    return Drawn(
        figure=figure,
        table=Table(
            columns=(
                Column("path", "layer", Kind.PATH),
                *(Column(c.value, c.value, Kind.COUNT) for c in classes),
                Column("operations", "operations", Kind.COUNT),
            ),
            rows=[
                {
                    "path": row.path or "(model)",
                    **{c.value: row.counts[c] for c in classes},
                    "operations": row.counts.total,
                }
                for row in rows
            ],
            title=f"{counts.model}: operations by layer, convention {counts.convention.name}",
            notes=(remark,) if remark else (),
        ),
        bar="operations",
        alt=f"Operations of {len(rows)} layers or modules of {counts.model}, by class. {remark}".strip(),
    )
