"""A report as Markdown for GitHub: headings, tables with right-aligned numbers, notes as lists."""

from __future__ import annotations

from addercost.report.formats.table_markdown import to_markdown
from addercost.report.sections import report_sections
from addercost.results.report import Report
from addercost.text import markdown_cell


def to_markdown_report(report: Report) -> str:
    """The text of the file: the sections of the HTML page, without figures."""
    lines = [f"# {markdown_cell(report.title)}", ""]
    for name, sections in report_sections(report):
        lines += [f"## {markdown_cell(name)}", ""]
        for section in sections:
            lines += [f"### {markdown_cell(section.title)}", ""]
            if section.lead:
                lines += [markdown_cell(section.lead), ""]
            for table in section.tables:
                lines += [to_markdown(table), ""]
            lines += [*(f"- {markdown_cell(note)}" for note in section.notes), ""]
    versions = ", ".join(f"{name} {version}" for name, version in report.versions.items())
    lines.append(f"Made by addercost{f' with {markdown_cell(versions)}' if versions else ''}.")
    text = "\n".join(lines) + "\n"
    while "\n\n\n" in text:
        text = text.replace("\n\n\n", "\n\n")
    return text
