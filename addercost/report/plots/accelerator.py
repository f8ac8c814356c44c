"""Cycles and energy of networks on accelerators: a stacked bar for each network."""

from __future__ import annotations

from typing import TYPE_CHECKING

from addercost.cost.accelerator.estimate import LEAKAGE, AcceleratorCost
from addercost.cost.accelerator.product import ELEMENTS
from addercost.report.plots.palette import (
    BLUE,
    DARK,
    GREEN,
    GREY,
    INK,
    ORANGE,
    PALE,
    PURPLE,
    SKY,
    VERMILLION,
    YELLOW,
)
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
from addercost.results.report import Subject, network_name
from addercost.text import printable
from addercost.units import si

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COMPUTING, WAITING = "cycles: the array computes", "cycles: it waits for memory"
_FIXED = {
    COMPUTING: (DARK, ""),
    WAITING: (PALE, "///"),
    ELEMENTS: (BLUE, ""),
    LEAKAGE: (GREY, "xxx"),
    "dram": (ORANGE, "///"),
}
_LEAST_SHARE = 0.006
_LEVELS = ((SKY, "..."), (GREEN, ""), (PURPLE, "\\\\\\"), (YELLOW, "+++"), (VERMILLION, ""))


@in_style
def draw(subject: Subject, options: PlotOptions) -> Drawn:
    """A row of two panels for each accelerator: cycles, and energy by level of memory."""
    costs = [
        [(network_name(profile), profile.accelerators[i]) for profile in subject.profiles]
        for i in range(len(subject.first.accelerators))
    ]
    levels = dict.fromkeys(level for own in costs for _, cost in own for level in cost.energy_j)
    styles = _styles(list(levels))
    across = 1 if options.width == "single" else 2
    down = max(len(costs) * 2 // across, 1)
    bars = len(subject.profiles)
    figure = new_figure(options, 0.9 + down * (0.7 + 0.2 * bars))
    grid = figure.subplots(down, across, squeeze=False)
    panels = [axes for row in grid for axes in row]
    if not costs:
        nothing_to_show(panels[0], "no accelerator was asked for")
        for axes in panels[1:]:
            axes.set_axis_off()
    for i, own in enumerate(costs):
        name = own[0][1].hardware
        for axes, unit in zip(panels[2 * i : 2 * i + 2], ("", "J"), strict=True):
            _panel(axes, own, unit, styles)
            axes.set_title(printable(name), loc="left")
    seen = {name: style for name, style in styles.items() if _is_seen(name, costs)}
    _legend(figure, seen, options)
    unseen = [name for name in levels if name not in seen]
    caption(
        figure,
        options,
        f"{subject.name} on accelerators, estimates",
        "matrix products alone; energy of the elements and of each level of memory; ≥ marks a lower bound",
        *([f"too little to be seen: {', '.join(unseen)}"] if unseen else []),
    )
    return Drawn(
        figure=figure,
        table=_table(subject, costs),
        bar="value",
        alt=f"Cycles and energy of {subject.name} on accelerators, by what they go to.",
    )


def parts_of(cost: AcceleratorCost, unit: str) -> dict[str, float]:
    """The parts of a bar: cycles (unit "") or joules of each part."""
    if unit:
        return dict(cost.energy_j)
    return {COMPUTING: cost.compute_cycles, WAITING: cost.cycles - cost.compute_cycles}


def _is_seen(name: str, costs: list[list[tuple[str, AcceleratorCost]]]) -> bool:
    """Whether a part is visible in a bar of any panel: wider than about 1/72 inch in a single column."""
    for own in costs:
        for unit in ("", "J"):
            parts = [parts_of(cost, unit) for _, cost in own]
            widest = max(sum(values.values()) for values in parts)
            if any(values.get(name, 0) > _LEAST_SHARE * widest for values in parts):
                return True
    return False


def _styles(levels: list[str]) -> dict[str, tuple[str, str]]:
    others = [level for level in levels if level not in _FIXED]
    found = {level: _LEVELS[i % len(_LEVELS)] for i, level in enumerate(others)}
    shown = [COMPUTING, WAITING, *levels]
    return {name: _FIXED.get(name) or found[name] for name in shown}


def _panel(
    axes: Axes, own: list[tuple[str, AcceleratorCost]], unit: str, styles: dict[str, tuple[str, str]]
) -> None:
    from matplotlib.ticker import MaxNLocator

    for y, (_, cost) in enumerate(own):
        left = 0.0
        for part, value in parts_of(cost, unit).items():
            colour, hatch = styles[part]
            axes.barh(
                y, value, left=left, height=0.7, color=colour, hatch=hatch, edgecolor=INK, linewidth=0.3
            )
            left += value
        mark = "" if cost.complete else "≥ "
        axes.annotate(
            f"{mark}{si(left, unit)}",
            (left, y),
            xytext=(3, 0),
            textcoords="offset points",
            va="center",
            fontsize=6.5,
        )
    axes.set_yticks(range(len(own)), [printable(network) for network, _ in own])
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(len(own) - 0.5, -0.5)
    axes.set_xlim(0, max(sum(parts_of(cost, unit).values()) for _, cost in own) * 1.25 or 1)
    axes.xaxis.set_major_locator(MaxNLocator(4))
    si_axis(axes.xaxis, unit)
    axes.set_xlabel("energy" if unit else "cycles")


def _legend(figure: Figure, styles: dict[str, tuple[str, str]], options: PlotOptions) -> None:
    from matplotlib.patches import Patch

    handles = [
        Patch(facecolor=colour, hatch=hatch, edgecolor=INK, linewidth=0.3, label=printable(name))
        for name, (colour, hatch) in styles.items()
    ]
    figure.legend(handles=handles, loc="outside upper left", ncols=2 if options.width == "single" else 4)


def _table(subject: Subject, costs: list[list[tuple[str, AcceleratorCost]]]) -> Table:
    return Table(
        columns=(
            Column("hardware", "accelerator"),
            Column("network", "layers as"),
            Column("quantity", "quantity"),
            Column("part", "part"),
            Column("value", "value", Kind.NUMBER),
            Column("unit", "unit"),
        ),
        rows=[
            {
                "hardware": cost.hardware,
                "network": network,
                "quantity": "energy" if unit else "cycles",
                "part": part,
                "value": value,
                "unit": unit or "cycles",
            }
            for own in costs
            for network, cost in own
            for unit in ("", "J")
            for part, value in parts_of(cost, unit).items()
        ],
        title=f"{subject.name} on accelerators, estimates",
    )
