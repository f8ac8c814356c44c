"""The pictures of figures that a test compares with, drawn of made-up data.

`python tests/report/figure_pictures.py` draws them anew. Look at them before they are committed.
"""

from __future__ import annotations

import io
from pathlib import Path

from made_figures import drawn
from PIL import Image

from addercost.report.plots.kinds import KINDS
from addercost.report.plots.style import Drawn, FigureFormat, PlotOptions, figure_bytes

FOLDER = Path(__file__).parent / "figure_pictures"
NAMES = (*KINDS, "language-model")
WIDTHS = ("single", "double")
_PIXELS = {"single": 420, "double": 864}
"""120 dots an inch: the smallest letters can be read."""


def picture(made: Drawn, width: str) -> Image.Image:
    """A figure on white."""
    large = Image.open(io.BytesIO(figure_bytes(made, FigureFormat.PNG)))
    on_white = Image.new("RGBA", large.size, "white")
    on_white.alpha_composite(large.convert("RGBA"))
    size = _PIXELS[width], round(large.height * _PIXELS[width] / large.width)
    return on_white.convert("RGB").resize(size, Image.Resampling.BOX)


def kept(name: str, width: str) -> Path:
    return FOLDER / f"{name}-{width}.png"


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for name in NAMES:
        for width in WIDTHS:
            made = picture(drawn(name, PlotOptions(width)), width)
            made.quantize(128, dither=Image.Dither.NONE).save(kept(name, width), optimize=True)
