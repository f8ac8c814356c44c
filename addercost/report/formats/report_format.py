"""A report in a chosen format, as the bytes of its file."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path

from addercost.errors import ArgumentError
from addercost.results.report import Report


class ReportFormat(StrEnum):
    HTML = "html"
    MARKDOWN = "markdown"
    LATEX = "latex"
    CSV = "csv"
    JSON = "json"
    XLSX = "xlsx"


_SUFFIXES = {
    ".html": ReportFormat.HTML,
    ".htm": ReportFormat.HTML,
    ".md": ReportFormat.MARKDOWN,
    ".markdown": ReportFormat.MARKDOWN,
    ".tex": ReportFormat.LATEX,
    ".csv": ReportFormat.CSV,
    ".json": ReportFormat.JSON,
    ".xlsx": ReportFormat.XLSX,
}
FOR_FILES_ONLY = (ReportFormat.HTML, ReportFormat.XLSX)


def report_format(named: str | None, output: Path | None) -> ReportFormat:
    """The named format, else the one of the file's suffix. Raises ArgumentError where neither names a
    format.
    """
    if named is not None:
        chosen = ReportFormat(named)
    elif output is not None and output.suffix.lower() in _SUFFIXES:
        chosen = _SUFFIXES[output.suffix.lower()]
    else:
        what = (
            f"{output.suffix!r} is no format of a report" if output is not None else "no file and no format"
        )
        raise ArgumentError(what, f"give -o FILE.html, or --format {', '.join(ReportFormat)}")
    if output is None and chosen in FOR_FILES_ONLY:
        raise ArgumentError(f"{chosen.value} goes into a file", f"give -o FILE.{chosen.value}")
    return chosen


def render_report(
    report: Report, chosen: ReportFormat, tables: Sequence[str] = (), width: str = "double"
) -> bytes:
    """The bytes of the file. tables, width: for LaTeX, as for `to_latex`.

    Raises AddercostError where a library that the format needs is not installed.
    """
    match chosen:
        case ReportFormat.HTML:
            from addercost.report.html.page import to_page

            return to_page(report).encode("utf-8")
        case ReportFormat.MARKDOWN:
            from addercost.report.formats.report_markdown import to_markdown_report

            return to_markdown_report(report).encode("utf-8")
        case ReportFormat.LATEX:
            from addercost.report.formats.report_latex import to_latex

            return to_latex(report, tables, width).encode("utf-8")
        case ReportFormat.CSV:
            from addercost.report.formats.layers_csv import to_layers_csv

            return to_layers_csv(report).encode("utf-8")
        case ReportFormat.JSON:
            return report.to_json().encode("utf-8")
        case ReportFormat.XLSX:
            from addercost.report.formats.report_xlsx import to_xlsx

            return to_xlsx(report)
