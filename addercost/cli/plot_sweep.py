"""Figures of a swept folder: `addercost plot scatter|pareto|rank DIR`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from addercost.errors import ArgumentError

if TYPE_CHECKING:
    from addercost.report.plots.style import Drawn, PlotOptions
    from addercost.report.table import Column
    from addercost.sweep.queries.sweep_data import SweepData

SWEPT_KINDS = ("scatter", "pareto", "rank")


def is_sweep(arguments: Sequence[str]) -> bool:
    """Whether the inputs of a figure are the folder of a sweep."""
    return len(arguments) == 1 and (Path(arguments[0]) / "sweep.json").is_file()


def draw_sweep(
    kind: str, folder: Path, x: str | None, y: str | None, arithmetics: Sequence[str], options: PlotOptions
) -> Drawn:
    """Draws a figure of a sweep. x, y: metrics; by default an estimate of the first processor, and the
    accuracy.

    arithmetics: the arithmetics that are shown, by default all of the sweep. Only rows of the sweep's first
    convention and batch size are used. Raises ArgumentError for an unknown metric, and where none is given
    and there is no default.
    """
    from addercost.report.plots.swept import Swept, draw_best, draw_points
    from addercost.sweep.queries.metrics import Variant, metric_columns, metric_values
    from addercost.sweep.queries.ranking import top
    from addercost.sweep.queries.sweep_data import open_sweep

    data = open_sweep(folder)
    settings = data.manifest.settings
    across = x or _estimate(data)
    convention, batch = settings.conventions[0], settings.batches[0]
    shown = [name for name in settings.arithmetics if not arithmetics or name in arithmetics]
    if not shown:
        raise ArgumentError(
            f"the sweep has no {' or '.join(arithmetics)}", f"it has {', '.join(settings.arithmetics)}"
        )
    if kind == "rank":
        table = top(data, across, Variant(shown[0], convention, batch), rows=options.top)
        return draw_best(table, _titled(table.column(across), settings.cost_model), options)
    up = y or ("accuracy" if "accuracy" in data.numeric_columns() else None)
    if up is None:
        raise ArgumentError("the sweep has no accuracy", f"name what to draw {across} against: --y METRIC")
    found = []
    for arithmetic in shown:
        names, values = metric_values(data, [across, up], Variant(arithmetic, convention, batch), ())
        found.append(
            Swept(arithmetic, tuple(names), tuple(map(float, values[:, 0])), tuple(map(float, values[:, 1])))
        )
    _, *columns = metric_columns([across, up])
    first, second = (_titled(column, settings.cost_model) for column in columns)
    source = f"convention {convention}, batch {batch}; ρ: rank correlation of Spearman"
    return draw_points(found, first, second, options, source, front=kind == "pareto")


def _estimate(data: SweepData) -> str:
    cpus, energies = data.manifest.settings.cpus, data.manifest.settings.energies
    if cpus:
        return f"cycles@{cpus[0]}"
    return f"energy_j@{energies[0]}" if energies else "mac_sites"


def _titled(column: Column, cost_model: str) -> Column:
    """The title of an axis. For an estimate it says so, and names the cost model."""
    what, at, hardware = column.name.partition("@")
    if not at:
        return column
    if what == "measured_s":
        return replace(column, title=f"measured time on {hardware}")
    words = {"cycles": "cycles", "seconds": "time", "energy_j": "energy"}[what]
    by = f", {cost_model} model" if what != "energy_j" and cost_model else ""
    return replace(column, title=f"estimated {words} on {hardware}{by}")
