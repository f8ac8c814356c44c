"""Writes results to the terminal or to a file, in the same way for every command."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from addercost.cli.options import latex_width
from addercost.report.formats.table_format import TableFormat, render
from addercost.report.formats.terminal import terminal_width
from addercost.report.table import Table
from addercost.results.files import check_target, write_file
from addercost.results.stdout import is_terminal, write_stdout


def _styled() -> bool:
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    return is_terminal() and not plain


def emit(text: Callable[[int | None, bool], str], output: Path | None, force: bool) -> None:
    """Writes `text(width, styled)` to the file, or prints it fitted to the terminal."""
    if output is None:
        write_stdout(text(terminal_width(), _styled()))
    else:
        write_file(output, text(None, False), force)


def emit_table(table: Table, table_format: str, output: Path | None, force: bool) -> None:
    page = latex_width()
    emit(lambda width, styled: render(table, TableFormat(table_format), width, styled, page), output, force)


def check_output(output: Path | None, force: bool) -> None:
    """Raises OutputError where the file cannot be written. It is called before the work."""
    if output is not None:
        check_target(output, force)
