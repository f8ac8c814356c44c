"""A diff of two profiles as an HTML page."""

from __future__ import annotations

from addercost.analysis.profile_diff import ProfileDiff
from addercost.report.html.page import render_page
from addercost.report.html.parts import PagePart, PageSection
from addercost.report.html.views import view_of
from addercost.report.tables.profile_diff import diff_tables


def to_diff_page(diff: ProfileDiff) -> str:
    """The text of the page: totals, then the layers that differ, in a table that can be sorted and filtered.

    Raises AddercostError without jinja2.
    """
    totals, layers = diff_tables(diff)
    sections = (
        PageSection("totals", "Totals", "Totals", views=(view_of(totals),)),
        PageSection("layers", layers.title, "Layers", views=(view_of(layers),), tools=True),
    )
    return render_page(
        title=totals.title,
        summary="Counts have no noise: every difference is a real one. Cycles and energies are estimates.",
        parts=[PagePart("diff", totals.title, sections)],
        made_by="Made by addercost diff.",
        data=None,
        remark="",
    )
