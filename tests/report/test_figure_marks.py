"""Marks of figures that would cover each other, and names that keep clear of lines and marks."""

from __future__ import annotations

from itertools import pairwise
from math import cos, radians, sin

import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Annotation, Text

from addercost.report.plots import accelerator, roofline
from addercost.report.plots.labels import along_steps, place_labels
from addercost.report.plots.style import PlotOptions
from addercost.results.report import Roofline, RooflinePoint


def plot() -> Axes:
    axes = Figure(figsize=(3.5, 3)).subplots()
    axes.set_xlim(0, 100)
    axes.set_ylim(0, 100)
    return axes


@pytest.mark.parametrize("width", ["single", "double"])
def test_marks_of_one_place_stand_around_each_other(width: str) -> None:
    """A layer that memory bounds has the same rate in every arithmetic. A circle of diameter d is seen in a
    square of side s > d, and the square in a diamond of side D > √2·s, whose half diagonal is D/√2."""
    point = RooflinePoint("a", "CNN", 100, 0.5, 5e9, "memory")
    names = ("CNN", "adder", "binary")
    points = tuple(RooflinePoint(point.path, name, 100, 0.5, 5e9, "memory") for name in names)
    made = Roofline("cpu", 1e10, dict.fromkeys(names, 1e11), points)
    (axes,) = roofline.draw(made, PlotOptions(width)).figure.axes
    marks = [line for line in axes.lines if len(line.get_xdata()) == 1]
    assert [mark.get_marker() for mark in marks] == ["o", "s", "D"]
    circle, square, diamond = (float(mark.get_markersize()) for mark in marks)
    edge = max(float(mark.get_markeredgewidth()) for mark in marks)
    assert square > circle + edge and diamond > 2**0.5 * square


def test_a_line_to_a_name_crosses_no_mark_where_it_need_not() -> None:
    """A ring of marks around a point, 17.5 points away, is open on the upper right alone. Above it is room at
    the same distance, which would come first if the line might cross the ring."""
    axes = plot()
    figure = axes.get_figure(root=True)
    assert figure is not None
    figure.draw_without_rendering()
    x, y = axes.transData.transform((50, 50))
    reach = 17.5 * figure.dpi / 72
    angles = [radians(a) for a in range(0, 360, 15) if a not in (30, 45)]
    ring = [axes.transData.inverted().transform((x + reach * cos(a), y + reach * sin(a))) for a in angles]
    assert not place_labels(axes, [("a name", 50, 50)], [(float(a), float(b)) for a, b in ring])
    (text,) = axes.texts
    assert isinstance(text, Annotation) and text.arrow_patch is not None
    figure.draw_without_rendering()
    box = Text.get_window_extent(text)
    assert box.x0 > x and box.y0 > y


@pytest.mark.parametrize("scale", ["linear", "log"])
def test_points_of_a_stepped_line_are_on_it(scale: str) -> None:
    axes = plot()
    axes.set_xscale(scale)
    corners = [(1.0, 10.0), (10.0, 20.0), (50.0, 60.0)]
    line = along_steps(axes, corners)
    for (x0, y0), (x1, y1) in pairwise(corners):
        assert (x0, y0) in line and (x1, y1) in line
        assert any(x0 < x < x1 and y == y0 for x, y in line)
        assert any(x == x1 and y0 < y < y1 for x, y in line)


def test_names_keep_clear_of_a_stepped_line() -> None:
    axes = plot()
    corners = [(20.0, 20.0), (40.0, 40.0), (60.0, 60.0)]
    assert not place_labels(axes, [(f"network {i}", *corner) for i, corner in enumerate(corners)],
                            along_steps(axes, corners))  # fmt: skip
    figure = axes.get_figure(root=True)
    assert figure is not None
    figure.draw_without_rendering()
    boxes = [Text.get_window_extent(text) for text in axes.texts]
    for x, y in along_steps(axes, corners):
        px, py = axes.transData.transform((x, y))
        assert not any(box.x0 < px < box.x1 and box.y0 < py < box.y1 for box in boxes)


def test_cycles_and_energies_on_accelerators_share_no_style() -> None:
    assert len({*accelerator._FIXED.values(), *accelerator._LEVELS}) == len(accelerator._FIXED) + len(
        accelerator._LEVELS
    )
