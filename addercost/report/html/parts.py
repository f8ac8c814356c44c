"""The parts of a page in order. Each model has cards, sections, tables and figures."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from addercost.report.html.cards import Card, cards, facts, measured_cards
from addercost.report.html.figures import inline_svg
from addercost.report.html.icicle import icicle_data
from addercost.report.html.linked_layers import linked_runs, linked_sentences, linked_table, row_anchors
from addercost.report.html.views import TableView, view_of
from addercost.report.plots.style import Drawn, PlotOptions
from addercost.report.sections import Section, report_sections
from addercost.report.subject_answer import answer_sentences
from addercost.report.table import Table
from addercost.report.tables.layers_cost_first import block_depths, layers_cost_first
from addercost.report.tables.timings import measured_table
from addercost.results.measurements import Measurements
from addercost.results.report import Report, Subject, network_name
from addercost.text import printable

if TYPE_CHECKING:
    from markupsafe import Markup

MOST_ROWS = 2000
"""The most layers in a page's table. For a larger model it has the largest layers, and the rest in one
row.
"""

_ON_PAGE = PlotOptions(width="page", caption=False)
_ON_PHONE = PlotOptions(width="single", caption=False)
_SHORT = {
    "asked": "Provenance",
    "linked": "Side by side",
    "arithmetics": "Arithmetics",
    "where": "Where it goes",
    "breakdown": "Breakdown",
    "roofline": "Roofline",
    "layers": "Layers",
    "accelerators": "Accelerators",
    "rank": "Processors",
    "sensitivity": "Sensitivity",
    "measured": "Measured",
    "notes": "Notes",
}


@dataclass(frozen=True, slots=True)
class PageFigure:
    """A figure of a page. narrow: the same figure for screens that are too narrow for `svg`."""

    svg: Markup
    narrow: Markup
    alt: str
    caption: str


@dataclass(frozen=True, slots=True)
class PageSection:
    """A heading with the content below it.

    short: its name in the navigation. tools: whether a reader can sort and filter the table. depths: module
    depths to which the layer table can be summed. depth: the depth that is shown at first. icicle: the module
    tree as JSON. bases: the quantities by which its boxes can be sized.
    """

    id: str
    title: str
    short: str
    lead: str = ""
    views: tuple[TableView, ...] = ()
    figures: tuple[PageFigure, ...] = ()
    notes: tuple[str, ...] = ()
    tools: bool = False
    depths: tuple[int, ...] = ()
    depth: int | None = None
    icicle: Markup | None = None
    bases: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PagePart:
    """The part of a page for one model, or for one set of measurements.

    answer: sentences that come first. cards: comparisons of the networks. facts: facts that all networks
    share. bound: a warning where totals are lower bounds.
    """

    id: str
    name: str
    sections: tuple[PageSection, ...]
    answer: tuple[str, ...] = ()
    cards: tuple[Card, ...] = ()
    facts: str = ""
    bound: str = ""


def page_parts(report: Report) -> Iterator[PagePart]:
    shown: Sequence[Subject | Measurements] = (*report.subjects, *report.measurements)
    tables = [_layers_of(item) for item in shown]
    ids = [row_anchors(f"p{i}", [_path(row) for row in table.rows]) for i, table in enumerate(tables, 1)]
    if len(shown) > 1:
        anchors = [
            {_path(row): anchor for row, anchor in zip(table.rows, own, strict=True) if anchor}
            for table, own in zip(tables, ids, strict=True)
        ]
        runs = linked_runs(shown, anchors)
        views = [view for place, own in runs.items() if (view := linked_table(place, own)) is not None]
        if views:
            lead = "Layers of the same path; the figure of a layer leads to its own row below."
            section = Section("linked", "Layers side by side", lead)
            answer = [printable(text) for place, own in runs.items() for text in linked_sentences(place, own)]
            yield PagePart(
                "all", "Side by side", (_section(section, "all", views=tuple(views)),), answer=tuple(answer)
            )
    for i, ((name, sections), item) in enumerate(zip(report_sections(report), shown, strict=True), 1):
        prefix = f"p{i}"
        # Runs of one model have the same name.
        name = f"{i}. {name}" if len(shown) > 1 else name
        view = view_of(tables[i - 1], ids[i - 1])
        if isinstance(item, Measurements):
            figures = tuple(_measured_figures(item, prefix))
            first, *others = sections
            yield PagePart(
                prefix,
                printable(name),
                tuple(_section(section, prefix, figures=figures, views=(view,)) for section in others),
                answer=tuple(printable(text) for text in first.notes),
                cards=tuple(measured_cards(item)),
            )
            continue
        counts = item.first.counts
        yield PagePart(
            id=prefix,
            name=printable(name),
            sections=tuple(_subject_sections(item, sections, prefix, view)),
            answer=tuple(printable(text) for text in answer_sentences(item)),
            cards=tuple(cards(item)),
            facts=facts(item),
            bound=""
            if counts.complete
            else f"Lower bound: {len(counts.uncounted)} operators have no counting rule and are in no total.",
        )


def _layers_of(item: Subject | Measurements) -> Table:
    if isinstance(item, Subject):
        return replace(layers_cost_first(item.first, MOST_ROWS + 1), title="")
    return measured_table(item)


def _path(row: Mapping[str, Any]) -> str:
    """The layer of a row; "" for the model itself, as in the data island."""
    path = str(row["path"])
    return "" if path == "(model)" else path


def _section(section: Section, prefix: str, **more: Any) -> PageSection:
    return PageSection(
        id=f"{prefix}-{section.key}",
        title=section.title,
        short=_SHORT[section.key],
        lead=section.lead,
        notes=tuple(printable(note) for note in section.notes),
        **{"views": tuple(view_of(table) for table in section.tables), **more},
    )


def _subject_sections(
    subject: Subject, sections: list[Section], prefix: str, layers: TableView
) -> Iterator[PageSection]:
    from addercost.report.plots import accelerator, breakdown, compare, rank, roofline, sensitivity

    def figure(draw: Callable[[PlotOptions], Drawn], key: str) -> PageFigure:
        return page_figure(draw, f"{prefix}-{key}")

    for section in sections:
        match section.key:
            case "answer":
                # This section is at the top, without a heading.
                continue
            case "arithmetics":
                has_bars = subject.estimates or subject.energies
                figures = (figure(partial(compare.draw, subject), "compare"),) if has_bars else ()
                yield _section(section, prefix, figures=figures)
                yield _icicle(subject, prefix)
                yield _section(
                    Section(
                        "breakdown",
                        "Operations by layer",
                        f"As {network_name(subject.first)}, in the order they run, by class.",
                    ),
                    prefix,
                    figures=(figure(partial(breakdown.draw, subject.first), "breakdown"),),
                )
            case "layers":
                yield _layers(subject, section, prefix, layers)
                if subject.rooflines:
                    drawings = [
                        figure(partial(roofline.draw, item, model=subject.name), f"roofline{i}")
                        for i, item in enumerate(subject.rooflines)
                    ]
                    lead = (
                        "A site is one input-weight pairing, the same work for every arithmetic. Estimates."
                    )
                    yield _section(Section("roofline", "Roofline", lead), prefix, figures=tuple(drawings))
            case "accelerators":
                drawing = figure(partial(accelerator.draw, subject), "accelerators")
                yield _section(section, prefix, figures=(drawing,))
            case "rank":
                yield _section(section, prefix, figures=(figure(partial(rank.draw, subject), "rank"),))
            case "sensitivity":
                drawings = [
                    figure(partial(sensitivity.draw, item, model=subject.name), f"sensitivity{i}")
                    for i, item in enumerate(subject.sensitivities)
                ]
                yield _section(section, prefix, figures=tuple(drawings))
            case _:
                yield _section(section, prefix)


def _layers(subject: Subject, section: Section, prefix: str, view: TableView) -> PageSection:
    n = len(subject.first.counts.layers)
    lead = f"As {network_name(subject.first)}, in the order they first run."
    if n > MOST_ROWS:
        lead = f"The {MOST_ROWS:,} largest of {n:,} layers, the others in one row; the data has them all."
    depths, depth = block_depths(subject.first)
    return _section(
        Section("layers", section.title, lead),
        prefix,
        views=(view,),
        tools=True,
        depths=depths,
        depth=depth,
    )


def _icicle(subject: Subject, prefix: str) -> PageSection:
    from addercost.report.html.island import embedded
    from addercost.report.plots import icicle

    data = icicle_data(subject.first)
    lead = f"As {network_name(subject.first)}: each box is as wide as its share, its parts are below it."
    return _section(
        Section("where", "Where it goes", lead),
        prefix,
        figures=(page_figure(partial(icicle.draw, subject.first), f"{prefix}-icicle"),),
        icicle=embedded(data),
        bases=tuple(data["bases"]),
    )


def _measured_figures(measurements: Measurements, prefix: str) -> Iterator[PageFigure]:
    from addercost.report.plots import distribution, predicted_vs_measured

    if any(row.predicted for row in measurements.rows):
        draw = partial(predicted_vs_measured.draw, measurements)
        yield page_figure(draw, f"{prefix}-predicted", predicted_vs_measured.EXPLAINED)
    draw = partial(distribution.draw, measurements)
    yield page_figure(draw, f"{prefix}-distribution", distribution.EXPLAINED)


def page_figure(draw: Callable[[PlotOptions], Drawn], prefix: str, caption: str = "") -> PageFigure:
    """The figure as inline SVG, once as wide as the page and once as wide as a phone. prefix: unique on the
    page.

    draw: makes the figure for given options. caption: replaces the title and notes of the figure's numbers.
    """
    drawn, narrow = draw(_ON_PAGE), draw(_ON_PHONE)
    if not caption:
        notes = "; ".join(note.rstrip(".") for note in drawn.table.notes)
        caption = f"{drawn.table.title}{f'; {notes}' if notes else ''}"
    return PageFigure(
        svg=inline_svg(drawn, prefix),
        narrow=inline_svg(narrow, f"{prefix}-narrow"),
        alt=printable(drawn.alt),
        caption=printable(caption),
    )
