"""A report's tables for a LaTeX paper, each as wide as a column or as the page; for \\input."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from addercost.report.formats.table_latex import MOST_ROWS, document_head, table_to_latex
from addercost.report.sections import report_sections
from addercost.report.table import Table
from addercost.report.tables.layers_cost_first import layers_cost_first
from addercost.results.report import Report

TABLES = {"comparison": "arithmetics", "layers": "layers", "rank": "rank"}
"""The tables that can be chosen, by name, and the section of each."""

_SECTIONS = ("arithmetics", "layers", "accelerators", "rank", "sensitivity", "measured")


def to_latex(report: Report, tables: Sequence[str] = (), width: str = "double") -> str:
    """The text of the file. tables: keys of TABLES, by default every table of the report. width: single or
    double.
    """
    wanted = [TABLES[name] for name in tables] or _SECTIONS
    lines = document_head(report.title)
    for table in _tables(report, wanted):
        lines += ["", table_to_latex(table, width)]
    return "\n".join([*lines, r"\endgroup", ""])


def _tables(report: Report, wanted: Sequence[str]) -> Iterator[Table]:
    subjects = iter(report.subjects)
    for _, sections in report_sections(report):
        for section in sections:
            if section.key == "layers":
                made = layers_cost_first(next(subjects).first, MOST_ROWS, folds=True)
                if section.key in wanted:
                    yield made
            elif section.key in wanted:
                yield from section.tables
