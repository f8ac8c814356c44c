"""Arithmetics × processors: a panel for each processor and each energy table, a bar for each arithmetic."""

from __future__ import annotations

import math
from dataclasses import dataclass

from addercost.analysis.leading_estimates import energies_by_table, leading_estimates
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
from addercost.results.report import LEAST_CHARGED, EnergyEstimated, Estimated, Subject
from addercost.text import printable
from addercost.units import si


@dataclass(frozen=True, slots=True)
class _Bar:
    """The bar of an estimate. value: None where too few of the operations have a figure."""

    arithmetic: str
    value: float | None
    complete: bool


_Panel = tuple[str, str, list[_Bar]]
"""(title, unit, bars)."""


@in_style
def draw(subject: Subject, options: PlotOptions) -> Drawn:
    """Draws predicted seconds (cycles without a clock) and joules of the whole model. `≥` marks a lower
    bound.

    Each processor is shown by the cost model that comes first in the report. A single column has room for one
    processor and one energy table; the caption names the others.
    """
    panels, others = _panels(subject, options)
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
                f"{'' if bar.complete else '≥ '}{si(bar.value, _suffix(unit))}",
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
        si_axis(axes.xaxis, _suffix(unit))
        axes.set_xlabel({"J": "energy", "s": "time"}.get(unit, unit))
    for axes in flat[len(panels) :]:
        axes.set_axis_off()
    caption(
        figure,
        options,
        f"{subject.name}, convention {subject.first.counts.convention.name}",
        f"estimates of arithmetic on one core; energy {_traffic(subject)}; ≥ marks a lower bound",
        f"not shown: {', '.join(others)}" if others else "",
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


def _traffic(subject: Subject) -> str:
    charged = subject.charged_memories
    return f"with traffic of {', '.join(charged)}" if charged else "without memory traffic"


def _panels(subject: Subject, options: PlotOptions) -> tuple[list[_Panel], list[str]]:
    """(the panels that are drawn, the names of those that are not)."""
    times: list[_Panel] = []
    for hardware, own in leading_estimates(subject).items():
        unit = "cycles" if any(e.seconds is None for e in own) else "s"
        bars = [_bar(e, e.cycles if e.seconds is None or unit == "cycles" else e.seconds) for e in own]
        times.append((f"{hardware}, {own[0].model}", unit, bars))
    energies: list[_Panel] = [
        (made[0].title, "J", [_bar(energy, energy.joules) for energy in made])
        for made in energies_by_table(subject).values()
    ]
    shown = [*times, *energies]
    if options.width == "single":
        shown = [*times[-1:], *energies[:1]]
    titles = [title for title, _, _ in shown]
    every = [f"{e.hardware}, {e.model}" for e in subject.estimates] + [title for title, _, _ in energies]
    return shown, [title.replace(", ", " ") for title in dict.fromkeys(every) if title not in titles]


def _bar(made: Estimated | EnergyEstimated, value: float) -> _Bar:
    return _Bar(made.arithmetic, value if made.charged >= LEAST_CHARGED else None, made.complete)


def _suffix(unit: str) -> str:
    return "" if unit == "cycles" else unit


def _few_ticks() -> object:
    from matplotlib.ticker import MaxNLocator

    return MaxNLocator(4)
