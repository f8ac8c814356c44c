"""Tables and figures as one page with the look of a report."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from addercost.report.html.page import render_page
from addercost.report.html.parts import PageFigure, PagePart, PageSection, page_figure
from addercost.report.html.views import view_of
from addercost.report.plots.style import Drawn, PlotOptions
from addercost.report.table import Table


@dataclass(frozen=True, slots=True)
class Topic:
    """A heading of the page and its content. short: its name in the navigation. figures: functions that draw
    each figure at a width.
    """

    title: str
    short: str
    lead: str = ""
    tables: tuple[Table, ...] = ()
    figures: tuple[Callable[[PlotOptions], Drawn], ...] = ()


def to_tables_page(title: str, summary: str, topics: Sequence[Topic]) -> str:
    """The text of the file. Raises AddercostError where jinja2 is not installed."""
    sections = []
    for i, topic in enumerate(topics, 1):
        figures: list[PageFigure] = [
            page_figure(draw, f"t{i}-figure{k}") for k, draw in enumerate(topic.figures)
        ]
        sections.append(
            PageSection(
                id=f"t{i}",
                title=topic.title,
                short=topic.short,
                lead=topic.lead,
                views=tuple(view_of(table) for table in topic.tables),
                figures=tuple(figures),
            )
        )
    part = PagePart("tables", title, tuple(sections))
    return render_page(title, summary, [part], "Made by addercost.", None, "")
