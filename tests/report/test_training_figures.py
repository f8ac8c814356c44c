"""What figures of training say in numbers. Needs matplotlib."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import pytest
import sample_data

from addercost.report.plots.kinds import draw_training
from addercost.report.plots.style import FigureFormat, PlotOptions, figure_bytes
from addercost.results.training import TrainingRun, training_from_data, with_distinct_names


def record(**changes: Any) -> TrainingRun:
    return training_from_data(sample_data.training() | changes)


def test_runs_of_one_name_are_numbered() -> None:
    runs = [replace(record(), name=name) for name in ("a", "b", "a", "a")]
    assert [run.name for run in with_distinct_names(runs)] == ["a", "b", "a (2)", "a (3)"]
    figure = draw_training("curves", runs, PlotOptions()).figure
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["a", "b", "a (2)", "a (3)"]


@pytest.mark.parametrize(
    ("kind", "closer"), [("gauss", "Gaussian"), ("laplace", "Laplacian"), ("constant", None)]
)
def test_which_fit_is_closer(kind: str, closer: str | None) -> None:
    draw = random.Random(4)
    make = {
        "gauss": lambda: draw.gauss(1, 2),
        "laplace": lambda: draw.choice((-1, 1)) * draw.expovariate(0.3) + 1,
        "constant": lambda: 2.0,
    }[kind]
    rows = draw_training("histogram", [record(weights={"fc": [make() for _ in range(3000)]})], PlotOptions())
    assert [row["closer"] for row in rows.table.rows] == [closer]


def test_gradient_norms() -> None:
    """One line a layer; a norm that is zero or no number is a gap, and stands in no row."""
    norms = {"conv1": [0.1, 0.0, 0.4], "fc": [1.0, float("nan"), 3.0], "dead": [0.0, 0.0, 0.0]}
    drawn = draw_training("gradients", [record(gradient_norms=norms)], PlotOptions())
    rows = {row["layer"]: (row["first"], row["median"], row["last"]) for row in drawn.table.rows}
    assert rows == {"conv1": (0.1, pytest.approx(0.25), 0.4), "fc": (1.0, 2.0, 3.0)}
    assert len(drawn.figure.axes[0].lines) == 3
    labels = [tick.get_text() for tick in drawn.figure.axes[0].get_yticklabels()]
    assert not any("$" in label for label in labels)


def test_a_short_logarithmic_axis_is_written_without_tex() -> None:
    """From 0.02 to 0.05 there is no power of ten: the ticks between are the only ones with a number."""
    drawn = draw_training("gradients", [record(gradient_norms={"a": [0.02, 0.05]})], PlotOptions())
    axes = drawn.figure.axes[0]
    figure_bytes(drawn, FigureFormat.SVG)
    labels = [tick.get_text() for which in ("major", "minor") for tick in axes.get_yticklabels(which=which)]
    assert {"0.02", "0.03", "0.04"} <= set(labels) and not any("$" in label for label in labels)


def test_records_without_gradient_norms() -> None:
    from addercost.errors import ArgumentError

    with pytest.raises(ArgumentError, match="has gradient norms"):
        draw_training("gradients", [record(gradient_norms={})], PlotOptions())


@pytest.mark.parametrize(
    ("counts", "panels"),
    [
        pytest.param((6, 6), 2, marks=pytest.mark.exhaustive),
        pytest.param((6, 6, 6, 6), 4, marks=pytest.mark.exhaustive),
        ((20,), 1),
        ((3, 16), 2),
    ],
    ids=str,
)
def test_filters_of_every_run_are_shown(counts: tuple[int, ...], panels: int) -> None:
    runs = [
        record(name=f"run {i}", filters={"conv1": [[[0.0, float(k)]] for k in range(count)]})
        for i, count in enumerate(counts)
    ]
    drawn = draw_training("filters", runs, PlotOptions())
    shown = [axes for axes in drawn.figure.findobj() if getattr(axes, "images", None)]
    assert len(shown) == sum(counts)
    assert len([part for part in drawn.figure.subfigs if part.get_suptitle()]) == panels
