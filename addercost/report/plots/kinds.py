"""The kinds of plot by name, and the data from which each is drawn.

This module is fast to import. The module of a plot, and matplotlib, are imported when the plot is drawn.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from addercost.errors import ArgumentError, unknown_name
from addercost.results.measurements import Measurements
from addercost.results.report import Subject
from addercost.results.training import TrainingRun, with_distinct_names

if TYPE_CHECKING:
    from addercost.report.plots.style import Drawn, PlotOptions


class Takes(StrEnum):
    MODEL = "a model, a profile or a report"
    MEASUREMENTS = "measurements, or a report with measurements"
    TRAINING = "training records"
    ACCURACIES = "training records, a sweep, or nothing for the paper's own"
    SWEEP = "the folder of a sweep"


@dataclass(frozen=True, slots=True)
class PlotKind:
    takes: Takes
    summary: str


KINDS = {
    "breakdown": PlotKind(Takes.MODEL, "operations of each layer, stacked by class"),
    "icicle": PlotKind(Takes.MODEL, "cost by module, nested"),
    "roofline": PlotKind(Takes.MODEL, "predicted rate against sites per byte"),
    "compare": PlotKind(Takes.MODEL, "arithmetics × processors"),
    "accelerator": PlotKind(Takes.MODEL, "cycles and energy on accelerators, by what they go to"),
    "rank": PlotKind(Takes.MODEL, "processors by the advantage of an arithmetic; the best of a sweep"),
    "sensitivity": PlotKind(Takes.MODEL, "what each table figure does to the advantage, with break-even"),
    "pareto": PlotKind(Takes.ACCURACIES, "accuracy against estimated cost, with the front"),
    "scatter": PlotKind(Takes.SWEEP, "one metric of a sweep against another"),
    "predicted-vs-measured": PlotKind(Takes.MEASUREMENTS, "predicted against measured seconds"),
    "distribution": PlotKind(Takes.MEASUREMENTS, "timing samples"),
    "curves": PlotKind(Takes.TRAINING, "training curves"),
    "gradients": PlotKind(Takes.TRAINING, "gradient norms by layer"),
    "filters": PlotKind(Takes.TRAINING, "filters as pictures"),
    "histogram": PlotKind(Takes.TRAINING, "distributions of weights"),
    "features": PlotKind(Takes.TRAINING, "two-dimensional features by class"),
}


def plot_kind(name: str) -> PlotKind:
    """The kind of that name. Raises ArgumentError, which lists all kinds, for an unknown one."""
    if name not in KINDS:
        error = unknown_name("kind of plot", name, KINDS)
        near = error.hint if error.hint.startswith("did") else ""
        raise ArgumentError(error.message, "; ".join(filter(None, (near, f"known: {', '.join(KINDS)}"))))
    return KINDS[name]


def draw_model(name: str, subject: Subject, options: PlotOptions, cpu: str | None = None) -> Drawn:
    """Draws a kind of plot that takes a model. cpu: the processor to show, where the plot shows one.

    Raises ArgumentError where the subject has no data for this plot.
    """
    from addercost.report.plots import accelerator, breakdown, compare, icicle, rank, roofline, sensitivity

    match name:
        case "accelerator":
            if not subject.first.accelerators:
                raise ArgumentError("no accelerator was asked for", "name one: --accelerator tpu-like")
            return accelerator.draw(subject, options)
        case "breakdown":
            return breakdown.draw(subject.first, options)
        case "icicle":
            return icicle.draw(subject.first, options)
        case "roofline":
            lines = [item for item in subject.rooflines if cpu in (None, item.hardware)]
            if not lines:
                raise ArgumentError(
                    "no processor asked for has a memory bandwidth and a clock in its table",
                    "try --cpu intel-skylake-x",
                )
            return roofline.draw(lines[0], options, subject.name)
        case "compare":
            return compare.draw(subject, options)
        case "rank":
            if not subject.ranked:
                raise ArgumentError(f"{subject.spec} carries no ranking", "name the model or its trace")
            return rank.draw(subject, options)
        case "sensitivity":
            swings = [item for item in subject.sensitivities if cpu in (None, item.hardware)]
            if not swings:
                raise ArgumentError(
                    f"{subject.spec} carries no sensitivity", "name the model, and a processor with latencies"
                )
            return sensitivity.draw(swings[0], options, subject.name)
    raise ArgumentError(f"{name} is not drawn from a model")


def draw_measured(name: str, measurements: Measurements, options: PlotOptions) -> Drawn:
    """Draws a kind of plot that takes measurements. Raises ArgumentError where they have no data for it."""
    from addercost.report.plots import distribution, predicted_vs_measured

    if name == "distribution":
        return distribution.draw(measurements, options)
    if not any(row.predicted for row in measurements.rows):
        raise ArgumentError(
            f"the timings of {measurements.model} carry no estimates",
            "add them with `addercost bench show FILE.json --cpu NAME -o NEW.json`",
        )
    return predicted_vs_measured.draw(measurements, options)


def draw_training(name: str, runs: Sequence[TrainingRun], options: PlotOptions) -> Drawn:
    """Draws a kind of plot that takes training records. Raises ArgumentError where none has data for it."""
    from addercost.report.plots import curves, features, filters, gradients, histogram

    draw = {
        "curves": curves.draw,
        "gradients": gradients.draw,
        "filters": filters.draw,
        "histogram": histogram.draw,
        "features": features.draw,
    }[name]
    return draw(with_distinct_names(runs), options)
