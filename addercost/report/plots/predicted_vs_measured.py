"""Predicted against measured seconds, with a point for each timed layer. On the diagonal they agree."""

from __future__ import annotations

from typing import Any

from addercost.report.plots.palette import INK, MARKERS, SERIES
from addercost.report.plots.style import (
    Drawn,
    PlotOptions,
    caption,
    in_style,
    new_figure,
    nothing_to_show,
    si_axis,
)
from addercost.report.tables.timings import measured_table
from addercost.results.measurements import Measurements

EXPLAINED = "line: predicted = measured; dotted: a factor of two"


@in_style
def draw(measurements: Measurements, options: PlotOptions) -> Drawn:
    """Draws one colour for each arithmetic and one marker for each cost model. Beyond the dotted lines a
    prediction is wrong by more than a factor of two.
    """
    series: dict[str, dict[str, list[tuple[float, float]]]] = {}
    for row in measurements.rows:
        for p in row.predicted:
            if p.seconds > 0:
                own = series.setdefault(f"{p.model} on {p.hardware}", {})
                own.setdefault(row.arithmetic, []).append((row.median_s, p.seconds))
    arithmetics = list(dict.fromkeys(name for own in series.values() for name in own))
    figure = new_figure(options, 3.8 if options.width == "single" else 4.2)
    axes = figure.subplots()
    if not series:
        nothing_to_show(axes, "the measurements carry no predictions")
    else:
        points = [point for own in series.values() for found in own.values() for point in found]
        values = [value for point in points for value in point]
        low, high = min(values) / 1.6, max(values) * 1.6
        for factor, style, width in ((1.0, "-", 0.9), (2.0, ":", 0.7), (0.5, ":", 0.7)):
            axes.plot([low, high], [low * factor, high * factor], style, color=INK, linewidth=width)
        for i, (model, own) in enumerate(series.items()):
            mark: dict[str, Any] = {
                "linestyle": "none",
                "marker": MARKERS[i % len(MARKERS)],
                "markeredgewidth": 0.3,
            }
            for arithmetic, found in own.items():
                axes.plot(
                    [x for x, _ in found],
                    [y for _, y in found],
                    markerfacecolor=_colour(arithmetics, arithmetic),
                    markeredgecolor=INK,
                    **mark,
                )
            every = [point for found in own.values() for point in found]
            label = f"{model}, mean error {100 * _mape(every):.0f} %"
            axes.plot([], [], markerfacecolor="none", markeredgecolor=INK, label=label, **mark)
        for arithmetic in arithmetics:
            axes.plot([], [], linewidth=4, color=_colour(arithmetics, arithmetic), label=arithmetic)
        axes.set_xscale("log")
        axes.set_yscale("log")
        across = [measured for measured, _ in points]
        axes.set_xlim(min(across) / 1.6, max(across) * 1.6)
        axes.set_ylim(low, high)
        axes.grid()
        si_axis(axes.xaxis, "s")
        si_axis(axes.yaxis, "s")
        axes.set_xlabel("measured (median)")
        axes.set_ylabel("predicted")
        figure.legend(loc="outside upper left", ncols=1 if options.width == "single" else 2)
    left_out = f"{len(measurements.left_out)} rows left out" if measurements.left_out else ""
    caption(figure, options, measurements.model, EXPLAINED, left_out)
    return Drawn(
        figure,
        measured_table(measurements),
        "median_s",
        f"Predicted against measured seconds of {len(measurements.rows)} timings of {measurements.model}.",
    )


def _colour(arithmetics: list[str], arithmetic: str) -> str:
    return SERIES[arithmetics.index(arithmetic) % len(SERIES)][0]


def _mape(points: list[tuple[float, float]]) -> float:
    return sum(abs(predicted / measured - 1) for measured, predicted in points) / len(points)
