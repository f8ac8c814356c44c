"""Places names beside points, where they cover no other name and no mark. A name far from its point gets a
line to it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from addercost.report.plots.palette import INK
from addercost.text import printable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.transforms import Bbox

_FONT_POINTS = 6.5
_MARK_POINTS = 3.5
_DIRECTIONS = ((0, 1), (0, -1), (1, 1), (-1, 1), (1, -1), (-1, -1), (1, 0), (-1, 0))
_DISTANCES = (5.0, 9.0, 15.0, 22.0, 30.0, 40.0)
_LINE_FROM = 12.0
"""A name that is farther from its point gets a line. In points of 1/72 inch."""


_STEPS = 24
"""How many points stand for a step of a line when names are kept clear of it."""


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle in points of 1/72 inch."""

    left: float
    bottom: float
    right: float
    top: float

    def overlaps(self, other: Box) -> bool:
        return (
            self.left < other.right
            and other.left < self.right
            and self.bottom < other.top
            and other.bottom < self.top
        )

    def is_within(self, other: Box) -> bool:
        return (
            other.left <= self.left
            and self.right <= other.right
            and other.bottom <= self.bottom
            and self.top <= other.top
        )


def place_labels(
    axes: Axes,
    labels: Sequence[tuple[str, float, float]],
    marks: Sequence[tuple[float, float]] = (),
    keep_texts: bool = False,
) -> list[str]:
    """Writes (name, x, y) of `labels` beside their points, and returns the names that have no free place.

    marks: further points that no name may cover. Lines to names avoid them if a place for that is free.
    keep_texts: whether no name may cover the texts that are in the plot. Call this when everything else of
    the figure is drawn, also a caption, and its limits are set.
    """
    lay_out(axes)
    inside, points = _box(axes, axes.get_window_extent()), positions(axes, [(x, y) for _, x, y in labels])
    texts = text_boxes(axes) if keep_texts else []
    marked = [_around(x, y) for x, y in [*points, *positions(axes, marks)]]
    without = []
    for (name, x, y), (px, py) in zip(labels, points, strict=True):
        places = _places(px, py, printable(name))
        free = [
            (box, offset, line)
            for box, offset, line in places
            if box.is_within(inside)
            and not any(box.overlaps(other) for other in marked)
            and not any(part.overlaps(other) for part in [box, *line] for other in texts)
        ]
        clear = (p for p in free if not any(dot.overlaps(other) for dot in p[2] for other in marked))
        chosen = next(clear, free[0] if free else None)
        if chosen is None:
            without.append(name)
            continue
        box, offset, line = chosen
        texts += [box, *line]
        arrow = {"arrowstyle": "-", "linewidth": 0.4, "color": INK, "shrinkA": 0, "shrinkB": 3}
        axes.annotate(
            printable(name),
            (x, y),
            xytext=offset,
            textcoords="offset points",
            ha="left",
            va="bottom",
            fontsize=_FONT_POINTS,
            arrowprops=arrow if line else None,
        )
    return without


def _places(x: float, y: float, name: str) -> Iterator[tuple[Box, tuple[float, float], list[Box]]]:
    """Possible places of a name, the nearest first: (rectangle, offset of its lower left corner, dots of the
    line to it).
    """
    width, height = _size(name)
    for distance, direction in ((d, way) for d in _DISTANCES for way in _DIRECTIONS):
        box, offset = _beside(x, y, width, height, distance, direction)
        # A name on a diagonal could seem to belong to another point, and so could one that is far.
        has_line = distance > _LINE_FROM or all(direction)
        yield box, offset, _line(x, y, box) if has_line else []


def along_steps(axes: Axes, corners: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Points of the line that `axes.step(…, where="post")` draws, so that names can be kept clear of it."""
    x, y = axes.get_xscale(), axes.get_yscale()
    return [
        point
        for (x0, y0), (x1, y1) in pairwise(corners)
        for point in (
            *((between, y0) for between in _between(x0, x1, x == "log")),
            *((x1, between) for between in _between(y0, y1, y == "log")),
        )
    ]


def _between(low: float, high: float, is_log: bool) -> list[float]:
    shares = [i / _STEPS for i in range(_STEPS + 1)]
    if is_log and low > 0 and high > 0:
        return [low * (high / low) ** share for share in shares]
    return [low + (high - low) * share for share in shares]


def text_boxes(axes: Axes) -> list[Box]:
    """The rectangles of the texts that are in the plot. Call `lay_out` before."""
    from matplotlib.text import Text

    # The extent of the annotation itself would include its line.
    return [_box(axes, Text.get_window_extent(text)) for text in axes.texts]


def lay_out(axes: Axes) -> None:
    """Gives the figure its final layout. That takes two thirds of the time of saving it, so one call serves
    all questions about places.
    """
    figure = axes.get_figure(root=True)
    assert figure is not None
    figure.draw_without_rendering()


def positions(axes: Axes, points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Where points of the data are on the figure, in points of 1/72 inch. Call `lay_out` before."""
    if not points:
        return []
    scale = 72 / axes.figure.dpi
    return [(float(x) * scale, float(y) * scale) for x, y in axes.transData.transform(points)]


def _box(axes: Axes, extent: Bbox) -> Box:
    """That extent, which is in pixels, in points."""
    scale = 72 / axes.figure.dpi
    return Box(extent.x0 * scale, extent.y0 * scale, extent.x1 * scale, extent.y1 * scale)


def _around(x: float, y: float) -> Box:
    return Box(x - _MARK_POINTS, y - _MARK_POINTS, x + _MARK_POINTS, y + _MARK_POINTS)


def _line(x: float, y: float, box: Box) -> list[Box]:
    """The line from a point to its name as dots, without its ends, which touch the mark and the name."""
    to_x, to_y = (box.left + box.right) / 2, (box.bottom + box.top) / 2
    dots = ((x + (to_x - x) * i / 20, y + (to_y - y) * i / 20) for i in range(1, 20))
    apart = [Box(a - 0.5, b - 0.5, a + 0.5, b + 0.5) for a, b in dots]
    return [dot for dot in apart if not dot.overlaps(box) and not dot.overlaps(_around(x, y))]


def _size(text: str) -> tuple[float, float]:
    """Width and height of a name in points, by the outlines of its glyphs."""
    from matplotlib.textpath import TextPath

    return float(TextPath((0, 0), text, size=_FONT_POINTS).get_extents().width) + 1.5, _FONT_POINTS * 1.15


def _beside(
    x: float, y: float, width: float, height: float, distance: float, direction: tuple[int, int]
) -> tuple[Box, tuple[float, float]]:
    """The rectangle of a name at that distance, and the offset of its lower left corner from the point."""
    across, up = direction
    # On a diagonal both coordinates change, so each changes less.
    step = distance if not (across and up) else distance * 0.7
    left = step if across > 0 else -step - width if across < 0 else -width / 2
    bottom = step if up > 0 else -step - height if up < 0 else -height / 2
    return Box(x + left, y + bottom, x + left + width, y + bottom + height), (left, bottom)
