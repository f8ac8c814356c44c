"""Tornado chart: how far the ratio changes when each latency is moved over its range, with a line at
break-even.
"""

from __future__ import annotations

from addercost.report.plots.palette import BLUE, INK, ORANGE
from addercost.report.plots.style import (
    Drawn,
    PlotOptions,
    caption,
    in_style,
    new_figure,
    nothing_to_show,
)
from addercost.report.table import Column, Kind, Table
from addercost.results.report import Sensitivity
from addercost.text import printable, shortened


@in_style
def draw(data: Sensitivity, options: PlotOptions, model: str = "") -> Drawn:
    """Draws a bar for each latency. Bars extend from the ratio at the table's own figures. At the line at 1
    both sides take equally long.
    """
    swings = sorted(data.swings, key=lambda s: -abs(s.ratio_at_high - s.ratio_at_low))
    moving = [s for s in swings if s.ratio_at_high != s.ratio_at_low]
    shown = moving[: options.top]
    figure = new_figure(options, 1.0 + 0.2 * max(len(shown), 3))
    axes = figure.subplots()
    if not shown:
        nothing_to_show(axes, "no figure of the table has a range")
    else:
        for i, swing in enumerate(shown):
            for ratio, colour, hatch, end in (
                (swing.ratio_at_low, BLUE, "", "least latency"),
                (swing.ratio_at_high, ORANGE, "///", "largest latency"),
            ):
                axes.barh(
                    i,
                    ratio - data.ratio,
                    left=data.ratio,
                    height=0.66,
                    color=colour,
                    hatch=hatch,
                    edgecolor=INK,
                    linewidth=0.3,
                    label=end if i == 0 else None,
                )
        room = 28 if options.width == "single" else 40
        names = [f"{printable(s.figure)} {s.low:g}–{s.high:g} cycles" for s in shown]
        axes.set_yticks(range(len(shown)), [shortened(name, room) for name in names])
        axes.tick_params(axis="y", length=0)
        axes.invert_yaxis()
        axes.axvline(data.ratio, color=INK, linewidth=0.8)
        axes.axvline(1, color=INK, linewidth=1, linestyle="--", label="break-even")
        axes.margins(x=0.08)
        axes.grid(axis="x")
        axes.set_xlabel(f"cycles as MAC / cycles as {data.arithmetic}")
        figure.legend(loc="outside upper left", ncols=3)
    still = len(swings) - len(moving)
    remarks = [f"{len(moving) - len(shown)} smaller swings left out"] if len(moving) > len(shown) else []
    if still:
        remarks.append(f"{still} figures without effect left out")
    if data.break_even is not None:
        times = f"{data.break_even:.3g}"
        how_much = "as much" if times == "1" else f"{times} times as much"
        remarks.append(f"break-even where a multiplication costs {how_much} as an addition")
    caption(figure, options, model, f"{data.hardware}, {data.model} model (estimate)", *remarks)
    return Drawn(
        figure=figure,
        table=Table(
            columns=(
                Column("figure", "figure"),
                Column("ratio_at_low", "ratio at low", Kind.RATIO),
                Column("ratio_at_high", "ratio at high", Kind.RATIO),
                Column("swing", "swing", Kind.NUMBER),
            ),
            rows=[
                {
                    "figure": s.figure,
                    "ratio_at_low": s.ratio_at_low,
                    "ratio_at_high": s.ratio_at_high,
                    "swing": abs(s.ratio_at_high - s.ratio_at_low),
                }
                for s in shown
            ],
            title=f"{data.hardware}, {data.model}: what moves MAC / {data.arithmetic}",
            notes=tuple(remarks),
        ),
        bar="swing",
        alt=f"Tornado chart of {len(shown)} table figures of {data.hardware}.",
    )
