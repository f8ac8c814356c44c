"""A language model: the time of a token against the context, and the rates of both phases against their
intensity.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from addercost.report.plots.palette import INK, SERIES
from addercost.report.plots.style import (
    Drawn,
    PlotOptions,
    caption,
    in_style,
    new_figure,
    nothing_to_show,
    number_axis,
    si_axis,
)
from addercost.report.table import Column, Kind, Table
from addercost.results.language_model import LanguageModelReport, PhaseCost, PhaseReport

_DASHES = ("-", "--", ":", "-.")


@in_style
def draw(report: LanguageModelReport, options: PlotOptions) -> Drawn:
    """Draws both plots. A colour is a batch. The style of a line and the filling of a mark stand for a
    processor. On the right, a prompt is a square and a token a circle.
    """
    narrow = options.width == "single"
    figure = new_figure(options, 5.4 if narrow else 3.0)
    times, rates = figure.subplots(2, 1) if narrow else figure.subplots(1, 2)
    _times(times, report)
    _rates(rates, report)
    handles, labels = times.get_legend_handles_labels()
    if handles:
        figure.legend(handles, labels, loc="outside upper left", ncols=1 if narrow else 3)
    models = ", ".join(dict.fromkeys(item.model for item in report.token_times))
    caption(figure, options, report.model, f"predicted by {models}" if models else "")
    return Drawn(
        figure,
        _table(report),
        "seconds",
        f"Predicted seconds of a token of {report.model} against the tokens before it.",
    )


def _series(report: LanguageModelReport) -> Iterator[tuple[int, int, int, str, str]]:
    """(number of the batch, number of the processor, batch, hardware, cost model) of every line."""
    batches = list(dict.fromkeys(item.batch for item in report.token_times))
    targets = list(dict.fromkeys((item.hardware, item.model) for item in report.token_times))
    for i, batch in enumerate(batches):
        for j, (hardware, model) in enumerate(targets):
            yield i, j, batch, hardware, model


def _times(axes: Any, report: LanguageModelReport) -> None:
    if not report.token_times:
        nothing_to_show(axes, "no times at several contexts")
        return
    for i, j, batch, hardware, model in _series(report):
        own = [
            item
            for item in report.token_times
            if (item.batch, item.hardware, item.model) == (batch, hardware, model)
        ]
        axes.plot(
            [item.context for item in own],
            [item.seconds for item in own],
            color=SERIES[i % len(SERIES)][0],
            linestyle=_DASHES[j % len(_DASHES)],
            marker="o",
            markersize=3.5,
            **_face(SERIES[i % len(SERIES)][0], j),
            label=f"batch {batch}, {hardware}",
        )
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.grid()
    number_axis(axes.xaxis)
    si_axis(axes.yaxis, "s")
    axes.set_xlabel("tokens before it")
    axes.set_ylabel("time of a token")


def _face(colour: str, processor: int) -> dict[str, Any]:
    """The filling of a mark: full for the first of two processors, hollow for the second, in both plots."""
    full = processor % 2 == 0
    return {
        "markerfacecolor": colour if full else "none",
        "markeredgecolor": INK if full else colour,
        "markeredgewidth": 0.4 if full else 1.0,
    }


def _rates(axes: Any, report: LanguageModelReport) -> None:
    """Draws operations a second against operations a byte. The lines are the most bytes and the most
    operations a second that any point of a processor reaches.
    """
    points = list(_points(report))
    if not points:
        nothing_to_show(axes, "no rates")
        return
    batches = list(dict.fromkeys(phase.batch for phase, _, _, _ in points))
    targets = list(dict.fromkeys((cost.hardware, cost.model) for _, cost, _, _ in points))
    for phase, cost, intensity, rate in points:
        colour = SERIES[batches.index(phase.batch) % len(SERIES)][0]
        axes.plot(
            intensity,
            rate,
            linestyle="none",
            marker="s" if phase.phase == "prefill" else "o",
            markersize=5,
            **_face(colour, targets.index((cost.hardware, cost.model))),
        )
    for name in dict.fromkeys(phase.phase for phase, _, _, _ in points):
        axes.plot(
            [],
            [],
            linestyle="none",
            marker="s" if name == "prefill" else "o",
            color=INK,
            label="a prompt" if name == "prefill" else "a token",
        )
    low, high = min(point[2] for point in points) / 2, max(point[2] for point in points) * 2
    for j, target in enumerate(targets):
        own = [
            (intensity, rate) for _, cost, intensity, rate in points if (cost.hardware, cost.model) == target
        ]
        slope = max(rate / intensity for intensity, rate in own)
        top = max(rate for _, rate in own)
        axes.plot(
            [low, top / slope, max(high, top / slope)],
            [low * slope, top, top],
            color=INK,
            linewidth=0.7,
            linestyle=_DASHES[j % len(_DASHES)],
        )
    axes.set_xlim(low, high)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.grid()
    axes.legend(loc="lower right")
    si_axis(axes.xaxis)
    si_axis(axes.yaxis)
    axes.set_xlabel("operations a byte moved")
    axes.set_ylabel("operations a second")


def _points(report: LanguageModelReport) -> Iterator[tuple[PhaseReport, PhaseCost, float, float]]:
    for phase in report.phases:
        for cost in phase.costs:
            if phase.intensity and cost.seconds:
                yield phase, cost, phase.intensity, phase.operation_count / cost.seconds


def _table(report: LanguageModelReport) -> Table:
    return Table(
        (
            Column("batch", "batch", Kind.COUNT),
            Column("context", "tokens\nbefore", Kind.COUNT),
            Column("hardware", "processor"),
            Column("seconds", "a token", Kind.QUANTITY, "s"),
        ),
        [
            {"batch": item.batch, "context": item.context, "hardware": item.hardware, "seconds": item.seconds}
            for item in report.token_times
        ],
        title=f"{report.model}: the time of a token, predicted",
    )
