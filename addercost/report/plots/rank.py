"""Processors by the advantage of an arithmetic over multiply-add: one panel for each cost model."""

from __future__ import annotations

from dataclasses import replace

from addercost.report.plots.palette import BLUE, GREY, INK, VERMILLION
from addercost.report.plots.style import (
    Drawn,
    PlotOptions,
    caption,
    in_style,
    new_figure,
    nothing_to_show,
    number_axis,
)
from addercost.report.tables.rank import advantage_table
from addercost.results.report import Ranked, Subject
from addercost.text import printable

_ROW_INCHES = 0.14
_MOST_ROWS = 50
"""The most rows of a panel, so that the figure fits on a page."""


@in_style
def draw(subject: Subject, options: PlotOptions) -> Drawn:
    """Draws a line for each processor. Lines start at 1, where both arithmetics take equally long. If there
    are more processors than fit, the best and the worst are drawn.

    A single column has room for one cost model: the last is drawn.
    """
    panels: dict[tuple[str, str], list[Ranked]] = {}
    for ranked in subject.ranked:
        panels.setdefault((ranked.model, ranked.arithmetic), []).append(ranked)
    others: list[str] = []
    if options.width == "single":
        others = [f"{model}, {arithmetic}" for model, arithmetic in list(panels)[:-1]]
        panels = dict(list(panels.items())[-1:])
    shown = {key: _ends(rows, min(options.top, _MOST_ROWS)) for key, rows in panels.items()}
    longest = max((len(rows) for rows, _ in shown.values()), default=4)
    across = 1 if options.width == "single" else min(len(panels), 2) or 1
    down = -(-len(panels) // across) or 1
    figure = new_figure(options, 0.6 + down * (0.5 + _ROW_INCHES * longest))
    flat = [axes for row in figure.subplots(down, across, squeeze=False) for axes in row]
    if not panels:
        nothing_to_show(flat[0], "no processor was ranked")
    remarks = []
    for axes, ((model, arithmetic), (rows, left_out)) in zip(flat, shown.items(), strict=False):
        for i, row in enumerate(rows):
            colour, mark = (
                (BLUE, ">") if row.ratio > 1 else (VERMILLION, "<") if row.ratio < 1 else (GREY, "o")
            )
            axes.plot([1, row.ratio], [i, i], color=colour, linewidth=1.6)
            # The mark also shows a ratio of exactly 1, whose line has no length.
            axes.plot(
                [row.ratio],
                [i],
                marker=mark,
                markersize=4,
                color=colour,
                markeredgecolor=INK,
                markeredgewidth=0.3,
            )
        axes.axvline(1, color=INK, linewidth=0.8)
        axes.set_yticks(range(len(rows)), [_name(row) for row in rows], fontsize=6)
        axes.tick_params(axis="y", length=0)
        axes.invert_yaxis()
        axes.margins(x=0.06, y=0.02)
        axes.grid(axis="x")
        axes.set_title(f"{model}, {arithmetic}", loc="left")
        axes.set_xlabel(f"cycles as MAC / cycles as {arithmetic}")
        number_axis(axes.xaxis)
        if left_out:
            remarks.append(f"{model}, {arithmetic}: {left_out} between the best and the worst left out")
    if others:
        remarks.append(f"not shown: {'; '.join(others)}")
    if any(row.caveat for rows, _ in shown.values() for row in rows):
        remarks.append("*: with a caveat in its table, which addercost hardware show prints")
    for axes in flat[len(panels) :]:
        axes.set_axis_off()
    caption(
        figure,
        options,
        f"{subject.name}; estimates; MAC sites only; right of 1 the arithmetic gains",
        *remarks,
    )
    table = advantage_table(subject)
    table = replace(table, notes=(*table.notes, *remarks))
    return Drawn(
        figure,
        table,
        subject.ranked[0].model if subject.ranked else "hardware",
        f"Advantage over multiply-add of {len(subject.ranked)} pairs of processor and cost model.",
    )


def _name(row: Ranked) -> str:
    return printable(row.hardware) + ("*" if row.caveat else "")


def _ends(rows: list[Ranked], top: int) -> tuple[list[Ranked], int]:
    ordered = sorted(rows, key=lambda row: (-row.ratio, row.hardware))
    if len(ordered) <= top:
        return ordered, 0
    best = top - top // 2
    return ordered[:best] + ordered[len(ordered) - top // 2 :], len(ordered) - top
