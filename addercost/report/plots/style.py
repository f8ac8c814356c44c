"""The look of every figure, and figures as bytes that are the same for the same input.

Widths are those of a printed column. Text stays text in the SVG of a page, and becomes glyphs in files.
"""

from __future__ import annotations

import io
import textwrap
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, cast

from addercost.report.plots.palette import INK
from addercost.report.table import Table
from addercost.text import printable
from addercost.units import si

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLUMN_INCHES = {"single": 3.5, "double": 7.2, "page": 9.6}
"""Widths of figures: 89 mm and 183 mm, the widths in most journals, and the width of an HTML page at which
letters are as large as the page's.
"""

_STYLE: dict[str, Any] = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 7.5,
    "axes.titlesize": 8,
    "axes.labelsize": 7.5,
    "legend.fontsize": 7,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "axes.axisbelow": True,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "grid.linewidth": 0.4,
    "grid.color": "#9a9a9b",
    "grid.alpha": 0.5,
    "lines.linewidth": 1.2,
    "lines.markersize": 4,
    "hatch.linewidth": 0.5,
    "legend.frameon": False,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
    "text.parse_math": False,
    "axes.unicode_minus": True,
    "pdf.fonttype": 42,
    "svg.hashsalt": "addercost",
}


class FigureFormat(StrEnum):
    SVG = "svg"
    PDF = "pdf"
    PNG = "png"


@dataclass(frozen=True, slots=True)
class PlotOptions:
    """How a figure is drawn.

    width: a key of COLUMN_INCHES. top: the most bars or rows; a remark says what was left out or summed.
    share: fractions in place of absolute values. basis: the quantity that sizes the boxes of an icicle, such
    as cycles@NAME or operations. caption: whether there is a caption below the figure.
    """

    width: str = "double"
    top: int = 40
    share: bool = False
    basis: str | None = None
    caption: bool = True

    @property
    def inches(self) -> float:
        return COLUMN_INCHES[self.width]


@dataclass(frozen=True, slots=True)
class Drawn:
    """A figure and the numbers that it shows.

    bar: the column of `table` that a terminal draws as bars. alt: one sentence for readers who cannot see the
    figure.
    """

    figure: Figure
    table: Table
    bar: str
    alt: str


@contextmanager
def look() -> Iterator[None]:
    """Figures that are made and saved inside the block have the project's look, whatever the user's
    matplotlibrc says.
    """
    import matplotlib

    with matplotlib.rc_context(), warnings.catch_warnings():
        # The font draws boxes for scripts that it lacks. The table beside the figure has the full names.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(cast("Any", _STYLE))
        yield


def new_figure(options: PlotOptions, height_inches: float) -> Figure:
    """An empty figure of the chosen width, with a layout in which nothing overlaps or is cut."""
    from matplotlib.figure import Figure

    return Figure(figsize=(options.inches, height_inches), layout="constrained")


def figure_bytes(drawn: Drawn, output: FigureFormat) -> bytes:
    """The bytes of the figure's file, equal for equal input. A PNG has a white background."""
    import matplotlib

    buffer = io.BytesIO()
    with look(), matplotlib.rc_context({"svg.fonttype": "path"}):
        match output:
            case FigureFormat.SVG:
                drawn.figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": "addercost"})
            case FigureFormat.PDF:
                fixed = {"CreationDate": None, "Producer": "matplotlib", "Creator": "addercost"}
                drawn.figure.savefig(buffer, format="pdf", metadata=fixed)
            case FigureFormat.PNG:
                drawn.figure.savefig(
                    buffer, format="png", dpi=300, facecolor="white", metadata={"Software": "addercost"}
                )
    return buffer.getvalue()


def si_axis(axis: Any, unit: str = "") -> None:
    """Ticks with SI prefixes. Call it after the scale of the axis is set."""
    _plain_axis(axis, lambda value: si(value, unit))


def number_axis(axis: Any) -> None:
    """Ticks as plain numbers. Call it after the scale of the axis is set."""
    _plain_axis(axis, lambda value: f"{value:g}")


def _plain_axis(axis: Any, write: Callable[[float], str]) -> None:
    """Writes ticks by `write`. A short logarithmic axis gets labels at minor ticks as well, for which
    matplotlib would use TeX.
    """
    from matplotlib.ticker import FuncFormatter, LogFormatter

    class MinorTicks(LogFormatter):
        def __call__(self, x: float, pos: int | None = None) -> str:
            return write(x) if super().__call__(x, pos) else ""

    axis.set_major_formatter(FuncFormatter(lambda value, _: write(value)))
    if axis.get_scale() == "log":
        axis.set_minor_formatter(MinorTicks())


def percent_axis(axis: Any) -> None:
    from matplotlib.ticker import FuncFormatter

    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:g} %"))


def nothing_to_show(axes: Axes, text: str) -> None:
    """Writes the reason into the middle of an empty plot."""
    axes.set_axis_off()
    axes.text(0.5, 0.5, text, ha="center", va="center", transform=axes.transAxes)


def caption(figure: Figure, options: PlotOptions, *parts: str) -> None:
    """Writes a caption: what the figure shows and how that was counted. A page has that text itself, and gets
    none.
    """
    text = "; ".join(printable(part) for part in parts if part)
    if options.caption and text:
        figure.supxlabel(textwrap.fill(text, round(options.inches * 19)), fontsize=6.5)


def in_style(draw: Callable[..., Drawn]) -> Callable[..., Drawn]:
    """Decorates a drawing function so that its figure is made inside `look`."""
    from functools import wraps

    @wraps(draw)
    def wrapped(*args: Any, **kwargs: Any) -> Drawn:
        with look():
            return draw(*args, **kwargs)

    return wrapped
