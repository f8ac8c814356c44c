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
)
from addercost.report.tables.rank import advantage_table
from addercost.results.report import Ranked, Subject
from addercost.text import printable

_ROW_INCHES = 0.14


@in_style
def draw(subject: Subject, options: PlotOptions) -> Drawn:
    """Bars start at 1, where both take the same. Of more than fit, the best and the worst are shown."""
    panels: dict[tuple[str, str], list[Ranked]] = {}
    for ranked in subject.ranked:
        panels.setdefault((ranked.model, ranked.arithmetic), []).append(ranked)
    shown = {key: _ends(rows, options.top) for key, rows in panels.items()}
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
            colour = BLUE if row.ratio > 1 else VERMILLION if row.ratio < 1 else GREY
            axes.barh(
                i,
                row.ratio - 1,
                left=1,
                height=0.7,
                color=colour,
                edgecolor=INK,
                linewidth=0.2,
                hatch="" if row.ratio > 1 else "///",
            )
        axes.axvline(1, color=INK, linewidth=0.8)
        axes.set_yticks(range(len(rows)), [_name(row) for row in rows], fontsize=6)
        axes.tick_params(axis="y", length=0)
        axes.invert_yaxis()
        axes.margins(y=0.01)
        axes.grid(axis="x")
        axes.set_title(f"{model}, {arithmetic}", loc="left")
        axes.set_xlabel(f"cycles as MAC / cycles as {arithmetic}")
        if left_out:
            remarks.append(f"{model}, {arithmetic}: {left_out} between the best and the worst left out")
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
