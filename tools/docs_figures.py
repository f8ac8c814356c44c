"""Draws the figures of README and `docs/` from the measurements kept in `reports/`.

Usage: python tools/docs_figures.py

Nothing is measured here.
"""

from __future__ import annotations

from pathlib import Path

from machine_report import BATCHES
from matplotlib.patches import Rectangle

from addercost.cost.verdict import CONTESTS
from addercost.measure.contests import IMPLEMENTATIONS
from addercost.measure.journal import read_measurements
from addercost.report.plots.palette import BLUE, GREEN, INK, ORANGE
from addercost.report.plots.style import Drawn, FigureFormat, PlotOptions, figure_bytes, in_style, new_figure
from addercost.report.table import Column, Kind, Table
from addercost.results.files import write_file
from addercost.results.network_ratio import NetworkRatio, network_ratio

ROOT = Path(__file__).parent.parent
MACHINE = "amd-zen4"
LOOK = {
    "fp32": ("adder layers, fp32", BLUE, ""),
    "int8": ("adder layers, int8", ORANGE, "///"),
    "binary": ("binary layers, packed", GREEN, "..."),
}
"""Label, colour and hatch of each contest of a verdict."""
RULE = 2 / 3
"""The ratio by the paper's rule for fp32 adder layers on a VIA Nano: (2 + 2) / (4 + 2) cycles a site."""


@in_style
def draw() -> Drawn:
    """Draws the time of the layers / that of the same network's convolutions, with 95 % intervals."""
    networks = {name: read_measurements(ROOT / "reports" / MACHINE / f"{name}.json") for name in BATCHES}
    found: list[tuple[str, str, NetworkRatio]] = []
    figure = new_figure(PlotOptions(), 3.2)
    # Pages with a dark background show this figure too.
    white = Rectangle((0, 0), 1, 1, transform=figure.transFigure, color="white", zorder=-10)
    figure.add_artist(white)
    axes = figure.add_subplot()
    for i, contest in enumerate(CONTESTS):
        label, colour, hatch = LOOK[contest.name]
        by = IMPLEMENTATIONS[contest.name]
        for j, (name, measured) in enumerate(networks.items()):
            ratio = network_ratio(measured, contest.arithmetic.value, by, contest.number_format)
            if ratio is None:
                raise ValueError(f"{name} has no timings of {label}")
            found.append((name, label, ratio))
            times = 1 / ratio.ratio
            place = j + 0.27 * (i - 1)
            axes.barh(
                place, times, 0.25, color=colour, hatch=hatch, edgecolor=INK, linewidth=0.4,
                xerr=[[times - 1 / ratio.high], [1 / ratio.low - times]],
                error_kw={"ecolor": INK, "elinewidth": 0.8}, label=label if j == 0 else None,
            )  # fmt: skip
            axes.text(1 / ratio.low + 0.02, place, f"{times:.2f}", va="center", fontsize=6.5)
    axes.axvline(1, color=INK, linewidth=0.8)
    axes.axvline(RULE, color=INK, linewidth=0.8, linestyle="--", label="the paper's rule for fp32: 0.67")
    axes.set_yticks(range(len(networks)), list(networks))
    axes.invert_yaxis()
    axes.set_xlabel(
        "measured time of the layers / time of the network's convolutions; left of 1 they are faster"
    )
    figure.legend(loc="outside upper left", ncols=2)
    table = Table(
        (
            Column("network", "network"),
            Column("layers", "layers"),
            Column("times_as_long", "times as long", Kind.RATIO),
        ),
        [{"network": name, "layers": label, "times_as_long": 1 / it.ratio} for name, label, it in found],
    )
    alt = "Times of adder and binary layers by those of convolutions, in five networks."
    return Drawn(figure, table, "times_as_long", alt)


if __name__ == "__main__":
    target = ROOT / "docs" / "images" / "measured-against-the-rule.svg"
    write_file(target, figure_bytes(draw(), FigureFormat.SVG), force=True)
