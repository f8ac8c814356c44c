"""Every kind of figure, drawn of made-up data, looks as in the committed picture."""

from __future__ import annotations

import pytest
from figure_pictures import NAMES, WIDTHS, kept, picture
from made_figures import drawn
from PIL import Image, ImageChops, ImageStat

from addercost.report.plots.style import PlotOptions

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


@pytest.mark.parametrize("width", [WIDTHS[0], pytest.param(WIDTHS[1], marks=pytest.mark.exhaustive)])
@pytest.mark.parametrize("name", NAMES)
def test_a_figure_looks_as_it_did(name: str, width: str) -> None:
    """After a wanted change: `python tests/report/figure_pictures.py`, and look at what it drew."""
    made = picture(drawn(name, PlotOptions(width)), width)
    assert difference(made, committed(name, width)) < TOLERANCE


@pytest.mark.parametrize(
    "name", ["accelerator", "compare", "language-model", "curves", "predicted-vs-measured"]
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
