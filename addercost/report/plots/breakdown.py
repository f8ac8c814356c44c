"""Operations of each layer as bars that are stacked by class, in numbers or as shares of the layer."""

from __future__ import annotations

from addercost.analysis.layer_rows import ProfileRow
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
from addercost.units import si

_ROW_INCHES = 0.15
_MARGIN_INCHES = 0.85
_LEAST_SEEN = 0.004
"""The least visible share of the plot's width, about 1/72 inch in a single column."""


@in_style
def draw(profile: Profile, options: PlotOptions) -> Drawn:
    """Draws one bar for each layer or module, in the order in which they run."""
    rows, remark = fitting_rows(profile, options.top, lambda row: row.counts.total)
    counted = [c for c in OpClass if any(row.counts[c] for row in rows)]
    widest = max((row.counts.total for row in rows), default=0)
    classes = [c for c in counted if any(_is_seen(row, c, widest, options) for row in rows)]
    unseen = [c.value for c in counted if c not in classes]
    if unseen:
        remark += f"{'; ' if remark else ''}too few to be seen: {', '.join(unseen)}"
    figure = new_figure(options, _MARGIN_INCHES + _ROW_INCHES * max(len(rows), 4))
    axes = figure.subplots()
    if not rows:
        nothing_to_show(axes, "no operations were counted")
    else:
        places = range(len(rows))
        left = [0.0] * len(rows)
        for op_class in counted:
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
                label=op_class.value if op_class in classes else None,
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
            axes.set_xlim(0, widest * 1.12)
            for place, row in zip(places, rows, strict=True):
                axes.annotate(
                    si(row.counts.total),
                    (row.counts.total, place),
                    xytext=(2, 0),
                    textcoords="offset points",
                    va="center",
                    fontsize=6,
                )
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
                *(Column(c.value, c.value, Kind.COUNT) for c in counted),
                Column("operations", "operations", Kind.COUNT),
            ),
            rows=[
                {
                    "path": row.path or "(model)",
                    **{c.value: row.counts[c] for c in counted},
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


def _is_seen(row: ProfileRow, op_class: OpClass, widest: int, options: PlotOptions) -> bool:
    """Whether the part of a bar is wide enough to show its colour."""
    return row.counts[op_class] >= _LEAST_SEEN * (row.counts.total if options.share else widest) > 0
