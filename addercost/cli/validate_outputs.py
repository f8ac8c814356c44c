"""The folder that `addercost validate` writes, and the lines that it prints meanwhile."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from addercost.results.validation import Validation
    from addercost.results.validation_journal import Entry


def document_in(folder: Path | None, force: bool) -> Path | None:
    """The path of the JSON file in the folder. Makes the folder, and keeps other processes out of it until
    the command ends.

    Raises OutputError where the file exists, unless `force`.
    """
    if folder is None:
        return None
    from addercost.results.files import check_target
    from addercost.results.journal_lines import journal_path
    from addercost.results.ownership import own_folder

    click.get_current_context().with_resource(own_folder(folder))
    document = folder / "validation.json"
    if force:
        journal_path(document).unlink(missing_ok=True)
    check_target(document, force or journal_path(document).exists())
    return document


def write_validation(result: Validation, folder: Path, scores_only: bool) -> None:
    """Writes validation.json, validation.md and validation.svg. scores_only: the JSON has no rows."""
    from dataclasses import replace

    from addercost.measure.validation.kept_traces import remove_traces
    from addercost.report.formats.table_format import TableFormat, render
    from addercost.report.plots import validation
    from addercost.report.plots.style import FigureFormat, PlotOptions, figure_bytes
    from addercost.report.tables.validation import validation_table
    from addercost.results.files import write_file
    from addercost.results.journal_lines import journal_path
    from addercost.results.validation import validation_to_json

    document = folder / "validation.json"
    figure = figure_bytes(validation.draw(result, PlotOptions()), FigureFormat.SVG)
    write_file(folder / "validation.svg", figure, force=True)
    text = render(validation_table(result), TableFormat.MARKDOWN, None, False)
    write_file(
        folder / "validation.md", f"{text}\n![predicted against measured](validation.svg)\n", force=True
    )
    kept = replace(result, rows=()) if scores_only else result
    write_file(document, validation_to_json(kept), force=True)
    journal_path(document).unlink(missing_ok=True)
    remove_traces(document)


def row_printer(total: int, quiet: bool) -> Callable[[int, Entry], None]:
    """A function that prints a line on stderr for every skipped network, and one for every 50 networks."""

    def said(number: int, entry: Entry) -> None:
        from addercost.results.validation import SkippedRow
        from addercost.text import printable

        if quiet:
            return
        if isinstance(entry, SkippedRow):
            print(f"[{number}/{total}] {printable(entry.name)}: {printable(entry.reason)}", file=sys.stderr)
        elif number % 50 == 0:
            print(f"[{number}/{total}] {printable(entry.name)}", file=sys.stderr)

    return said
