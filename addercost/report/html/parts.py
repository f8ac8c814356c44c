"""The parts of a page in order: for each model its cards, sections, tables and figures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from addercost.analysis.layer_rows import labelled_costs
from addercost.report.html.figures import inline_svg
from addercost.report.html.icicle import icicle_data
from addercost.report.html.views import TableView, view_of
from addercost.report.plots.style import Drawn, PlotOptions
from addercost.report.sections import Section, headline, report_sections
from addercost.report.tables.layers import layer_table
from addercost.report.tables.timings import measured_headline
from addercost.results.measurements import Measurements
from addercost.results.report import Report, Subject, network_name
from addercost.text import printable

if TYPE_CHECKING:
    from markupsafe import Markup

MOST_ROWS = 2000
"""Layers in a page's table at most. Of a larger model it has the largest, and the rest in one row."""

_ON_PAGE = PlotOptions(width="double", caption=False)
_SHORT = {
    "asked": "Asked",
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
    svg: Markup
    alt: str
    caption: str


@dataclass(frozen=True, slots=True)
class PageSection:
    """One heading and what is below it.

    short: its name in the navigation. tools: whether a reader can sort and filter. depths: module depths to
    which the layer table can be summed. icicle: the module tree as JSON. bases: what sizes its boxes.
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
    icicle: Markup | None = None
    bases: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PagePart:
    """One model, or one set of measurements.

    cards: (figure, its name, a remark). bound: a warning where totals are lower bounds.
    """

    id: str
    name: str
    sections: tuple[PageSection, ...]
    cards: tuple[tuple[str, str, str], ...] = ()
    bound: str = ""


def page_parts(report: Report) -> Iterator[PagePart]:
    shown: Sequence[Subject | Measurements] = (*report.subjects, *report.measurements)
    for i, ((name, sections), item) in enumerate(zip(report_sections(report), shown, strict=True), 1):
        prefix = f"p{i}"
        if isinstance(item, Measurements):
            figures = tuple(_measured_figures(item, prefix))
            made = tuple(_section(section, prefix, figures=figures) for section in sections)
            yield PagePart(prefix, printable(name), made, tuple(measured_headline(item)))
            continue
        counts = item.first.counts
        yield PagePart(
            id=prefix,
            name=printable(name),
            sections=tuple(_subject_sections(item, sections, prefix)),
            cards=tuple(headline(item)),
            bound=""
            if counts.complete
            else f"Lower bound: {len(counts.uncounted)} operators have no counting rule and are in no total.",
        )


def _section(section: Section, prefix: str, **more: Any) -> PageSection:
    return PageSection(
        id=f"{prefix}-{section.key}",
        title=section.title,
        short=_SHORT[section.key],
        lead=section.lead,
        notes=tuple(printable(note) for note in section.notes),
        **{"views": tuple(view_of(table) for table in section.tables), **more},
    )


def _subject_sections(subject: Subject, sections: list[Section], prefix: str) -> Iterator[PageSection]:
    from addercost.report.plots import accelerator, breakdown, compare, rank, roofline, sensitivity

    def figure(drawn: Drawn, key: str) -> PageFigure:
        return page_figure(drawn, f"{prefix}-{key}")

    for section in sections:
        match section.key:
            case "arithmetics":
                has_bars = subject.estimates or subject.energies
                figures = (figure(compare.draw(subject, _ON_PAGE), "compare"),) if has_bars else ()
                yield _section(section, prefix, figures=figures)
                yield _icicle(subject, prefix)
                drawn = breakdown.draw(subject.first, _ON_PAGE)
                yield _section(
                    Section(
                        "breakdown",
                        "Operations by layer",
                        f"As {network_name(subject.first)}, in the order they run, by class.",
                    ),
                    prefix,
                    figures=(figure(drawn, "breakdown"),),
                )
            case "layers":
                yield _layers(subject, section, prefix)
                if subject.rooflines:
                    drawings = [
                        figure(roofline.draw(item, _ON_PAGE, subject.name), f"roofline{i}")
                        for i, item in enumerate(subject.rooflines)
                    ]
                    lead = (
                        "A site is one input-weight pairing, the same work for every arithmetic. Estimates."
                    )
                    yield _section(Section("roofline", "Roofline", lead), prefix, figures=tuple(drawings))
            case "accelerators":
                drawn = accelerator.draw(subject, _ON_PAGE)
                yield _section(section, prefix, figures=(figure(drawn, "accelerators"),))
            case "rank":
                yield _section(section, prefix, figures=(figure(rank.draw(subject, _ON_PAGE), "rank"),))
            case "sensitivity":
                drawings = [
                    figure(sensitivity.draw(item, _ON_PAGE, subject.name), f"sensitivity{i}")
                    for i, item in enumerate(subject.sensitivities)
                ]
                yield _section(section, prefix, figures=tuple(drawings))
            case _:
                yield _section(section, prefix)


def _layers(subject: Subject, section: Section, prefix: str) -> PageSection:
    n = len(subject.first.counts.layers)
    lead = f"As {network_name(subject.first)}, in the order they first run."
    table = section.tables[0]
    if n > MOST_ROWS:
        basis = f"cycles@{next(iter(labelled_costs(subject.first)))}" if subject.first.costs else "share"
        table = layer_table(subject.first, sort=basis, top=MOST_ROWS)
        lead = f"The {MOST_ROWS:,} largest of {n:,} layers, the others in one row; the data has them all."
    deepest = max(layer.path.count(".") + 1 for layer in subject.first.counts.layers)
    return _section(
        Section("layers", section.title, lead),
        prefix,
        views=(view_of(table),),
        tools=True,
        depths=tuple(range(1, deepest)),
    )


def _icicle(subject: Subject, prefix: str) -> PageSection:
    from addercost.report.html.island import embedded
    from addercost.report.plots import icicle

    data = icicle_data(subject.first)
    lead = f"As {network_name(subject.first)}: each box is as wide as its share, its parts are below it."
    return _section(
        Section("where", "Where it goes", lead),
        prefix,
        figures=(page_figure(icicle.draw(subject.first, _ON_PAGE), f"{prefix}-icicle"),),
        icicle=embedded(data),
        bases=tuple(data["bases"]),
    )


def _measured_figures(measurements: Measurements, prefix: str) -> Iterator[PageFigure]:
    from addercost.report.plots import distribution, predicted_vs_measured

    if any(row.predicted for row in measurements.rows):
        drawn = predicted_vs_measured.draw(measurements, _ON_PAGE)
        yield page_figure(drawn, f"{prefix}-predicted")
    yield page_figure(distribution.draw(measurements, _ON_PAGE), f"{prefix}-distribution")


def page_figure(drawn: Drawn, prefix: str) -> PageFigure:
    """The figure as inline SVG. prefix: unique on the page."""
    from markupsafe import Markup

    notes = "; ".join(drawn.table.notes)
    caption = f"{drawn.table.title}{f'; {notes}' if notes else ''}"
    return PageFigure(Markup(inline_svg(drawn, prefix)), printable(drawn.alt), printable(caption))
