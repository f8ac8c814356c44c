"""Figures as SVG inside a page. Text stays text, ids are made unique, and `INK` is replaced by the page's
text colour.
"""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING

from addercost.report.plots.palette import INK
from addercost.report.plots.style import Drawn, look

if TYPE_CHECKING:
    from markupsafe import Markup

_ID = re.compile(r'\bid="([^"]+)"')
_REFERENCE = re.compile(r'(url\(#|href="#)([^")]+)')
_HEAD = re.compile(r"^.*?(?=<svg)", re.DOTALL)
_METADATA = re.compile(r"<metadata>.*?</metadata>", re.DOTALL)
_INDENT = re.compile(r"\s*\n\s*")
_NUMBER = re.compile(r"-?\d+\.\d{3,}")
_BETWEEN = re.compile(r"> <")
_FONT = re.compile(r"font: (?:(\w+) )?([\d.]+)px [^;\"]+")


def inline_svg(drawn: Drawn, prefix: str) -> Markup:
    """An <svg> element that scales with the page. prefix: makes its ids unique on the page."""
    import matplotlib
    from markupsafe import Markup

    buffer = io.BytesIO()
    with look(), matplotlib.rc_context({"svg.fonttype": "none"}):
        drawn.figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    text = _METADATA.sub("", _HEAD.sub("", buffer.getvalue().decode("utf-8")))
    head, rest = text.split(">", 1)
    head = re.sub(r' (width|height|version|xmlns|xmlns:xlink)="[^"]*"', "", head)
    body = _REFERENCE.sub(rf"\g<1>{prefix}-\g<2>", _ID.sub(rf'id="{prefix}-\g<1>"', rest))
    body = body.replace("xlink:href", "href").replace(INK, "currentColor")
    body = _FONT.sub(lambda m: f"font-size: {m[2]}px", body)
    return Markup(f'{head} focusable="false">{_shortened(body)}')


def _shortened(body: str) -> str:
    """The same picture with fewer characters: on one line, without ids that nothing refers to, and with
    numbers rounded to a hundredth of a point, which no screen can show.
    """
    referred = {match[2] for match in _REFERENCE.finditer(body)}
    body = _ID.sub(lambda m: m[0] if m[1] in referred else "", body)
    body = _NUMBER.sub(lambda m: f"{float(m[0]):.2f}".rstrip("0").rstrip("."), body)
    return _BETWEEN.sub("><", _INDENT.sub(" ", body).replace(" >", ">"))
