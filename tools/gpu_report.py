"""The report of `make gpu-check`: a table of its parts, and the tables of their measurements."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gpu_parts import CheckPart

if TYPE_CHECKING:
    from addercost.results.measurements import Measurements


@dataclass(frozen=True)
class Outcome:
    """The outcome of a part. state: done, failed, late or not run. said: the last line that the part
    printed.
    """

    part: CheckPart
    state: str
    took_s: float
    said: str


def folder_name(device: str) -> str:
    """`NVIDIA H200` as nvidia-h200."""
    return re.sub(r"[^a-z0-9]+", "-", device.lower()).strip("-") or "gpu"


def write_tables(result: Measurements, file: Path) -> str:
    """Writes the rows of a document as Markdown and CSV beside it. Returns the table for the summary: the
    sums over a network's layers if there are any, else its rows.
    """
    from addercost.report.formats.table_format import TableFormat, render
    from addercost.report.tables.timings import bench_table, sum_table
    from addercost.results.files import write_file

    table = bench_table(result)
    write_file(file.with_suffix(".md"), render(table, TableFormat.MARKDOWN), force=True)
    write_file(file.with_suffix(".csv"), render(table, TableFormat.CSV), force=True)
    summed = sum_table(result)
    return render(summed if summed is not None else table, TableFormat.MARKDOWN)


def keep_what_was_measured(folder: Path) -> list[str]:
    """Makes documents of the journals of killed parts, and removes the journals. A journal that cannot be
    read because a package is missing is kept under another name. Returns a line for each of these.
    """
    from addercost.errors import AddercostError, DataError
    from addercost.measure.journal import rescued

    unread = []
    for journal in sorted(folder.glob("*.journal")):
        try:
            rescued(journal.with_suffix(""))
        except DataError:
            # A journal without a complete row is removed, since it would make the part's next run fail.
            journal.unlink(missing_ok=True)
        except AddercostError as error:
            kept = journal.rename(journal.with_suffix(".unread"))
            unread.append(f"{kept.name} has the rows of a part that was stopped: {error}")
    return unread


def sections(folder: Path, since: float = 0.0) -> list[str]:
    """The tables for the summary. Writes the tables of every document beside it.

    since: a time in the seconds of file times. An older document is of an earlier run, and its title says so.
    """
    from addercost.errors import AddercostError, DataError
    from addercost.measure.journal import read_measurements

    texts = []
    for file in sorted(folder.glob("*-layers.json")) + sorted(folder.glob("*-whole.json")):
        of_before = file.stat().st_mtime < since
        try:
            result = read_measurements(file)
        except DataError as error:
            texts.append(f"## {file.stem}\n\nCannot be read: {error}")
        except AddercostError as error:
            # The part itself has written its rows. Only the sums need them to be read again.
            rows, title = file.with_suffix(".md"), file.stem + (" (of an earlier run)" if of_before else "")
            text = rows.read_text("utf-8") if rows.exists() else ""
            texts.append(f"## {title}\n\nNot summed up: {error}\n\n{text}")
        else:
            date = result.environment.get("date", "undated")
            title = file.stem + (f" (of an earlier run, {date})" if of_before else "")
            texts.append(f"## {title}\n\n{write_tables(result, file)}")
    return texts


def summary(device: str, outcomes: Sequence[Outcome], texts: Sequence[str], started: str) -> str:
    """The text of the README: the outcome of each part, then `texts`."""
    rows = [
        "| part | what | state | seconds | last line |",
        "| --- | --- | --- | ---: | --- |",
    ]
    for o in outcomes:
        said = o.said.replace("|", "\\|")
        rows.append(f"| {o.part.name} | {o.part.what} | {o.state} | {o.took_s:.0f} | {said} |")
    head = f"""# {device}

Made by `make gpu-check` on {started}. Raw samples, environment and commit are in the JSON files; each table
is beside its file. A part that failed or was late is marked here, and what it had measured is kept.
"""
    return "\n".join([head, *rows, "", *(f"{text}\n" for text in texts)])
