"""The options and output files that `addercost bench` and `addercost bench show` share."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from addercost.cli.emit import check_output, emit
from addercost.cli.options import F, debug_option, force_option, format_option, latex_width
from addercost.errors import ArgumentError
from addercost.report.formats.table_format import TableFormat, render
from addercost.report.table import Table

if TYPE_CHECKING:
    from addercost.results.measurements import Measurements

_SUFFIXES = (".json", ".csv", ".md")

cost_model_option = click.option(
    "--cost-model", "cost_models", multiple=True, metavar="NAME", help="Default: all; repeatable."
)


def result_options(function: F) -> F:
    """--format, -o, --chrome-trace and --force of commands that print measurements, and --debug."""
    for option in reversed(
        (
            format_option,
            click.option(
                "-o",
                "--output",
                "outputs",
                multiple=True,
                type=click.Path(path_type=Path),
                metavar="FILE",
                help="FILE.json keeps everything, raw samples too, and a killed run goes on from it; "
                "FILE.csv and FILE.md hold the table; repeatable.",
            ),
            click.option(
                "--chrome-trace",
                type=click.Path(path_type=Path),
                metavar="FILE",
                help="Measured and predicted layers as tracks for chrome://tracing or Perfetto.",
            ),
            force_option("Replace files, and time again what is in them."),
            debug_option,
        )
    ):
        function = option(function)
    return function


def document_among(outputs: tuple[Path, ...]) -> Path | None:
    """The JSON file among the outputs, which has everything. Raises ArgumentError for a suffix without a
    format, or for two JSON files.
    """
    for path in outputs:
        if path.suffix not in _SUFFIXES:
            raise ArgumentError(
                f"-o {path}: {path.suffix or 'no suffix'} is no format", "name FILE.json, .csv or .md"
            )
    documents = [path for path in outputs if path.suffix == ".json"]
    if len(documents) > 1:
        raise ArgumentError(f"two documents: {documents[0]} and {documents[1]}", "give one -o FILE.json")
    return documents[0] if documents else None


def check_outputs(
    outputs: tuple[Path, ...], document: Path | None, chrome_trace: Path | None, force: bool
) -> None:
    """Raises OutputError, before the work, where a file exists that must not be replaced. The document of an
    unfinished run may be replaced, and with `force` every file.
    """
    from addercost.results.journal_lines import journal_path

    for path in (*outputs, *([chrome_trace] if chrome_trace is not None else [])):
        going_on = path == document and not force and journal_path(path).exists()
        check_output(path, force or going_on)


@contextmanager
def journal_of(document: Path | None, force: bool) -> Iterator[None]:
    """Keeps other processes from the journal of a document inside the block. The journal is removed when the
    block has succeeded. With `force`, the rows of an unfinished run are removed first.
    """
    if document is None:
        yield
        return
    from addercost.results.journal_lines import journal_path
    from addercost.results.ownership import own_file

    journal = journal_path(document)
    with own_file(journal):
        if force:
            os.truncate(journal, 0)
        yield
        journal.unlink(missing_ok=True)


def write_results(result: Measurements, outputs: tuple[Path, ...], chrome_trace: Path | None) -> None:
    """Writes each file in the format of its suffix, and replaces one that exists."""
    from addercost.results.files import write_file
    from addercost.results.measurements import measurements_to_json

    for path in outputs:
        if path.suffix == ".json":
            text = measurements_to_json(result)
        else:
            chosen = TableFormat.CSV if path.suffix == ".csv" else TableFormat.MARKDOWN
            text = _text(result, chosen, None, False)
        write_file(path, text, force=True)
    if chrome_trace is not None:
        from addercost.report.formats.chrome_trace import to_chrome_trace

        write_file(chrome_trace, to_chrome_trace(result), force=True)


def print_results(result: Measurements, table_format: str) -> None:
    chosen = TableFormat(table_format)
    emit(lambda width, styled: _text(result, chosen, width, styled), None, False)


def _text(result: Measurements, chosen: TableFormat, width: int | None, styled: bool) -> str:
    """The text of a format. CSV and JSON have the rows; other formats have the sums as well."""
    from addercost.report.tables.timings import bench_table, sum_table

    tables: list[Table | None] = [bench_table(result)]
    if chosen not in (TableFormat.CSV, TableFormat.JSON):
        tables.append(sum_table(result))
    return "\n".join(
        render(table, chosen, width, styled, latex_width()) for table in tables if table is not None
    )
