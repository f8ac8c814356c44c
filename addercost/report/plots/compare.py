"""Arithmetics × processors: one panel for each cost model and energy table, one bar an arithmetic."""

from __future__ import annotations

import math
from dataclasses import dataclass

from addercost.report.plots.palette import INK, SERIES
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
from addercost.results.report import LEAST_CHARGED, Subject
from addercost.text import printable
from addercost.units import si


@dataclass(frozen=True, slots=True)
class _Bar:
    """One estimate. value: None where too few of the operations have a figure."""

    arithmetic: str
    value: float | None
    complete: bool


@in_style
def draw(subject: Subject, options: PlotOptions) -> Drawn:
    """Predicted cycles and joules of the whole model; `≥` marks a lower bound."""
    panels = _panels(subject)
    across = 1 if options.width == "single" else 2
    down = math.ceil(len(panels) / across) or 1
    bars = max((len(bars) for _, _, bars in panels), default=1)
    figure = new_figure(options, 0.5 + down * (0.55 + 0.2 * bars))
    grid = figure.subplots(down, across, squeeze=False)
    flat = [axes for row in grid for axes in row]
    if not panels:
        nothing_to_show(flat[0], "no processor and no energy table was asked for")
    for axes, (title, unit, own) in zip(flat, panels, strict=False):
        for i, bar in enumerate(own):
            colour, hatch = SERIES[i % len(SERIES)]
            if bar.value is None:
                axes.annotate(" no figures in the table", (0, i), va="center", fontsize=6.5)
                continue
            axes.barh(i, bar.value, height=0.7, color=colour, hatch=hatch, edgecolor=INK, linewidth=0.3)
            axes.annotate(
                f"{'' if bar.complete else '≥ '}{si(bar.value, unit if unit == 'J' else '')}",
                (bar.value, i),
                xytext=(3, 0),
                textcoords="offset points",
                va="center",
                fontsize=6.5,
            )
        axes.set_yticks(range(len(own)), [printable(bar.arithmetic) for bar in own])
        axes.tick_params(axis="y", length=0)
        axes.set_ylim(len(own) - 0.5, -0.5)
        axes.set_title(title, loc="left")
        axes.set_xlim(0, max((bar.value or 0 for bar in own), default=1) * 1.25 or 1)
        axes.xaxis.set_major_locator(_few_ticks())
        si_axis(axes.xaxis, "J" if unit == "J" else "")
        axes.set_xlabel("energy" if unit == "J" else unit)
    for axes in flat[len(panels) :]:
        axes.set_axis_off()
    caption(
        figure,
        options,
        f"{subject.name}, convention {subject.first.counts.convention.name}",
        "estimates of arithmetic on one core; energy without memory traffic; ≥ marks a lower bound",
    )
    return Drawn(
        figure=figure,
        table=Table(
            columns=(
                Column("quantity", "estimate"),
                Column("arithmetic", "arithmetic"),
                Column("value", "value", Kind.NUMBER),
                Column("unit", "unit"),
                Column("complete", "complete"),
            ),
            rows=[
                {
                    "quantity": title,
                    "arithmetic": bar.arithmetic,
                    "value": bar.value,
                    "unit": unit,
                    "complete": "yes" if bar.complete else "lower bound",
                }
                for title, unit, own in panels
                for bar in own
            ],
            title=f"{subject.name}: arithmetics × processors, estimates",
        ),
        bar="value",
        alt=f"Predicted cycles and energy of {subject.name} by arithmetic and processor.",
    )


def _panels(subject: Subject) -> list[tuple[str, str, list[_Bar]]]:
    found: dict[tuple[str, str], list[_Bar]] = {}
    for e in subject.estimates:
        known = e.cycles if e.charged >= LEAST_CHARGED else None
        bar = _Bar(e.arithmetic, known, e.complete)
        found.setdefault((f"{e.hardware}, {e.model}", "cycles"), []).append(bar)
    for energy in subject.energies:
        known = energy.joules if energy.charged >= LEAST_CHARGED else None
        bar = _Bar(energy.arithmetic, known, energy.complete)
        found.setdefault((f"arithmetic energy, {energy.table}", "J"), []).append(bar)
    return [(title, unit, bars) for (title, unit), bars in found.items()]


def _few_ticks() -> object:
    from matplotlib.ticker import MaxNLocator

    return MaxNLocator(4)
