"""Every kind of figure, drawn of made-up data, looks as in its committed picture, fits and names its axes."""

from __future__ import annotations

from typing import Any

import pytest
from figure_pictures import NAMES, WIDTHS, kept, picture
from made_figures import drawn, shown
from PIL import Image, ImageChops, ImageStat

from addercost.report.plots.kinds import KINDS
from addercost.report.plots.style import PlotOptions

EXHAUSTIVE = pytest.mark.exhaustive

TOLERANCE = 3.0
"""Root mean square of the difference of levels, of 255. The few colours of the committed pictures give at
most 1.9; a mark or a bar at another place gives more, which the second test shows."""


def difference(one: Image.Image, other: Image.Image) -> float:
    if one.size != other.size:
        return 255.0
    return max(ImageStat.Stat(ImageChops.difference(one, other)).rms)


def committed(name: str, width: str) -> Image.Image:
    with Image.open(kept(name, width)) as found:
        return found.convert("RGB")


FAST = ("compare", "pareto", "predicted-vs-measured", "curves")
"""One figure of a model, of published networks, of measurements and of training records."""


@pytest.mark.parametrize("width", [WIDTHS[0], pytest.param(WIDTHS[1], marks=EXHAUSTIVE)])
@pytest.mark.parametrize(
    "name", [name if name in FAST else pytest.param(name, marks=EXHAUSTIVE) for name in NAMES]
)
def test_a_figure_looks_as_it_did(name: str, width: str) -> None:
    """After a wanted change: `python tests/report/figure_pictures.py`, and look at what it drew."""
    made = picture(shown(name, PlotOptions(width)), width)
    assert difference(made, committed(name, width)) < TOLERANCE


@pytest.mark.parametrize(
    "name",
    [
        "compare",
        "curves",
        *(
            pytest.param(name, marks=EXHAUSTIVE)
            for name in ("accelerator", "language-model", "predicted-vs-measured")
        ),
    ],
)
def test_a_small_change_is_noticed(name: str) -> None:
    """The widest bar or the first line a tenth smaller."""
    made = drawn(name, PlotOptions("single"))
    axes = made.figure.axes[0]
    if axes.patches:
        bar = max(axes.patches, key=lambda patch: patch.get_width())
        bar.set_width(bar.get_width() * 0.9)
    else:
        line = axes.lines[0]
        low, high = axes.get_ylim()
        line.set_ydata([y * 0.9 for y in line.get_ydata()])
        axes.set_ylim(low, high)
    assert difference(picture(made, "single"), committed(name, "single")) > TOLERANCE


def outside(figure: Any) -> list[str]:
    """Texts that the figure's edge cuts."""
    from matplotlib.text import Text

    figure.draw_without_rendering()
    edge = figure.bbox
    texts = [text for legend in figure.legends for text in legend.get_texts()]
    for axes in figure.axes:
        texts += [*axes.texts, axes.title, axes.xaxis.label, axes.yaxis.label]
        for axis in (axes.xaxis, axes.yaxis) if axes.axison else ():
            low, high = sorted(axis.get_view_interval())
            texts += [tick.label1 for tick in axis.get_major_ticks() if low <= tick.get_loc() <= high]
    boxes = [(text.get_text(), Text.get_window_extent(text)) for text in texts if text.get_text()]
    return [
        name
        for name, box in boxes
        if box.x0 < edge.x0 - 1 or box.x1 > edge.x1 + 1 or box.y0 < edge.y0 - 1 or box.y1 > edge.y1 + 1
    ]


@pytest.mark.parametrize(
    ("width", "inches"),
    [pytest.param("single", 3.5), pytest.param("double", 7.2, marks=EXHAUSTIVE)],
)
@pytest.mark.parametrize(
    "kind", [kind if kind in FAST else pytest.param(kind, marks=EXHAUSTIVE) for kind in KINDS]
)
def test_the_figure_fits_column_and_page_and_no_text_is_cut(kind: str, width: str, inches: float) -> None:
    """The figure is as wide as the column, nothing drawn leaves it, and ten inches of A4 remain between
    margins.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    figure = shown(kind, PlotOptions(width)).figure
    height = figure.get_figheight()
    assert figure.get_figwidth() == inches and height <= 10
    assert outside(figure) == []
    box = figure.get_tightbbox(FigureCanvasAgg(figure).get_renderer())
    room = 0.03
    assert box.x0 >= -room and box.x1 <= inches + room, box
    assert box.y0 >= -room and box.y1 <= height + room, box


@pytest.mark.parametrize("width", [WIDTHS[0], pytest.param(WIDTHS[1], marks=EXHAUSTIVE)])
@pytest.mark.parametrize("kind", KINDS)
def test_every_axis_says_what_it_shows(kind: str, width: str) -> None:
    for axes in shown(kind, PlotOptions(width)).figure.axes:
        if axes.axison:
            assert axes.get_xlabel(), kind
            named = (
                axes.get_ylabel()
                or not len(axes.get_yticks())
                or any(t.get_text() for t in axes.get_yticklabels())
            )
            assert named, kind
