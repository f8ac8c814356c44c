"""A report as one HTML file. It fetches nothing, and shows every table and figure without scripts as well.

The template engine escapes every text that comes from a model. The data island escapes `<`, `>` and `&`, so
that no text in it can end the element. The page's policy allows this one script, by its hash, and no request.
"""

from __future__ import annotations

import base64
import hashlib
from importlib.resources import files
from typing import Any

from addercost.errors import AddercostError
from addercost.report.html.island import embedded
from addercost.report.html.parts import PagePart, page_parts
from addercost.results.report import Report
from addercost.results.saved import DATA_ID
from addercost.text import printable
from addercost.version import __version__


def to_page(report: Report) -> str:
    """The text of the file. Raises AddercostError where jinja2 is not installed."""
    _require_jinja2()
    versions = ", ".join(f"{name} {version}" for name, version in report.versions.items())
    return render_page(
        title=report.title,
        summary=_summary(report),
        parts=list(page_parts(report)),
        made_by=f"Made by addercost{f' with {versions}' if versions else ''}.",
        data=report.to_dict(),
        remark="The data of this page is inside it as JSON: addercost report FILE.html and addercost profile "
        "FILE.html read it back. Cycles, seconds and joules are estimates unless a column says measured.",
    )


def render_page(title: str, summary: str, parts: list[PagePart], made_by: str, data: Any, remark: str) -> str:
    """The filled template. data: the content of the data island; None for a page without one."""
    _require_jinja2()
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    folder = files("addercost.report.html")
    names = ("d3-selection", "d3-hierarchy") if any(s.icicle for part in parts for s in part.sections) else ()
    libraries = [folder.joinpath("vendor", f"{name}.min.js").read_text("utf-8") for name in names]
    licence = folder.joinpath("vendor", "d3-selection.LICENSE").read_text("utf-8") if names else ""
    script = "\n".join([*libraries, folder.joinpath("report.js").read_text("utf-8")])
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")
    environment = Environment(
        loader=PackageLoader("addercost.report", "html"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["breaks"] = _with_breaks
    return environment.get_template("page.html.j2").render(
        title=printable(title),
        summary=summary,
        parts=parts,
        made_by=made_by,
        remark=remark,
        version=__version__,
        css=Markup(folder.joinpath("report.css").read_text("utf-8")),
        script=Markup(script),
        script_hash=f"sha256-{digest}",
        licence=Markup(licence.replace("--", "- -")),
        data=embedded(data) if data is not None else None,
        data_id=DATA_ID,
    )


def _with_breaks(path: str) -> Any:
    """A module path in which lines may break after each dot, and within a name only if there is no other
    way.
    """
    from markupsafe import Markup, escape

    return Markup(".<wbr>").join(escape(name) for name in path.split("."))


def _require_jinja2() -> None:
    try:
        import jinja2  # noqa: F401
    except ImportError:
        raise AddercostError(
            "the HTML report needs jinja2", "install it: pip install 'addercost[report]'"
        ) from None


def _summary(report: Report) -> str:
    conventions = dict.fromkeys(
        f"{s.first.counts.convention.name} ({s.first.counts.convention.title})" for s in report.subjects
    )
    counted = f"Counted by the convention {', '.join(conventions)}. " if conventions else ""
    return f"{counted}Nothing here was run, except what is called measured."
