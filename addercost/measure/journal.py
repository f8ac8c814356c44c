"""Writes rows to disk as they are timed, so that a kill at any moment loses only the row that is being timed.

A journal is a file of JSON lines. The first line describes the run. Each other line is a row, which is synced
to the disk before the next row starts. Its name is the result's name with `.journal` appended. It is removed
when the result has been written.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from addercost.errors import DataError, OutputError
from addercost.input_files import read_bytes
from addercost.reading import json_data, read_as
from addercost.results.document import advising, checked_fields
from addercost.results.environment import VERSION, differences
from addercost.results.files import write_file
from addercost.results.journal_lines import append_line, journal_path, whole_lines
from addercost.results.measurements import FailedRow, MeasuredRow, Measurements, measurements_to_json
from addercost.results.plain import to_plain
from addercost.results.saved import read_saved, title_of

SCHEMA = "addercost/bench-journal/1"

Entry = MeasuredRow | FailedRow


@dataclass(frozen=True, slots=True)
class JournalHeading:
    """The run that a journal belongs to. Only a run with an equal heading continues the journal."""

    model: str
    settings: Mapping[str, str]
    environment: Mapping[str, str]
    limits: Mapping[str, float]
    notes: tuple[str, ...] = ()


class Journal:
    """An open journal. entries: all rows by key, also those of the killed run. Made by `open_journal`."""

    def __init__(self, heading: JournalHeading, path: Path | None, entries: dict[str, Entry]) -> None:
        self.heading, self.path, self.entries = heading, path, entries

    def add(self, key: str, entry: Entry) -> None:
        """Writes the row to the disk before it returns. Raises OutputError where that fails."""
        self.entries[key] = entry
        if self.path is not None:
            kind = "row" if isinstance(entry, MeasuredRow) else "failed"
            append_line(self.path, {"key": key, kind: to_plain(entry)})

    def measurements(self) -> Measurements:
        entries = self.entries.values()
        return Measurements(
            model=self.heading.model,
            environment=self.heading.environment,
            rows=tuple(entry for entry in entries if isinstance(entry, MeasuredRow)),
            settings=self.heading.settings,
            limits=self.heading.limits,
            failed=tuple(entry for entry in entries if isinstance(entry, FailedRow)),
            notes=self.heading.notes,
        )

    def remove(self) -> None:
        if self.path is not None:
            self.path.unlink(missing_ok=True)


def rescued(document: Path) -> bool:
    """Writes the document of a stopped run from its journal. Returns False where there is no journal.

    Raises DataError where the journal has no whole row, OutputError where the document cannot be written.
    """
    journal = journal_path(document)
    if not journal.exists():
        return False
    write_file(document, measurements_to_json(read_measurements(journal)), force=True)
    journal.unlink()
    return True


def read_measurements(path: Path) -> Measurements:
    """The measurements of a saved document, or the complete rows of a journal. The path may be the document's
    or the journal's.

    Raises DataError.
    """
    if not path.exists() and journal_path(path).exists():
        path = journal_path(path)
    if path.suffix == ".journal":
        heading, entries, _ = read_journal(path)
        if heading is None:
            raise DataError(f"{path} has no whole line", "the run was killed before its first row")
        return Journal(heading, None, entries).measurements()
    saved = read_saved(path)
    if not isinstance(saved, Measurements):
        raise DataError(f"{path} is {title_of(saved)}, not measurements", "make some with addercost bench")
    return saved


def open_journal(heading: JournalHeading, output: Path | None) -> Journal:
    """A new journal for `output`, or the journal of a killed run. A last line that was cut off is dropped.

    Raises DataError where the journal belongs to another run.
    """
    if output is None:
        return Journal(heading, None, {})
    path = journal_path(output)
    if path.exists():
        found, entries, whole_bytes = read_journal(path)
        if found is not None:
            _refuse_another(path, found, heading)
            os.truncate(path, whole_bytes)
            return Journal(found, path, entries)
    try:
        path.write_bytes(b"")
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror}", "choose another place") from None
    append_line(path, {"schema": SCHEMA, **to_plain(heading)})
    return Journal(heading, path, {})


def read_journal(path: Path) -> tuple[JournalHeading | None, dict[str, Entry], int]:
    """(the heading, rows by key, the number of bytes of all complete lines). The heading is None where the
    first line is cut off.

    Raises DataError for a file that is no journal of ours, or damaged before its last line.
    """
    data = read_bytes(path)
    heading: JournalHeading | None = None
    entries: dict[str, Entry] = {}
    end = 0
    for number, line, after in whole_lines(data):
        source = f"{path}, line {number}"
        with advising("remove the file to start again"):
            record = json_data(line.decode("utf-8", "replace"), source)
            if heading is None:
                heading = read_as(JournalHeading, checked_fields(record, SCHEMA, source), source)
            else:
                key, entry = _entry(record, source)
                entries[key] = entry
        end = after
    return heading, entries, end


@dataclass(frozen=True, slots=True)
class _JournalLine:
    """A line of a journal: the key of a row, with the row or the reason why it failed."""

    key: str
    row: MeasuredRow | None = None
    failed: FailedRow | None = None


def _entry(record: Any, source: str) -> tuple[str, Entry]:
    line = read_as(_JournalLine, record, source)
    entry = line.row or line.failed
    if entry is None:
        raise DataError(f"{source}: row is missing: expected a row, or failed")
    return line.key, entry


def _refuse_another(path: Path, found: JournalHeading, heading: JournalHeading) -> None:
    changed = [
        f"{name} {found.settings.get(name, 'unset')}, now {heading.settings.get(name, 'unset')}"
        for name in dict.fromkeys((*found.settings, *heading.settings))
        if found.settings.get(name) != heading.settings.get(name)
    ]
    if found.model != heading.model:
        changed.insert(0, f"model {found.model}, now {heading.model}")
    changed += differences(found.environment, heading.environment)
    # Nor do rows of two versions of our kernels belong in one table.
    changed += [
        f"{name}: {found.environment.get(name, '')}, {heading.environment.get(name, '')}"
        for name in VERSION
        if found.environment.get(name) != heading.environment.get(name)
    ]
    if changed:
        raise DataError(
            f"{path} is of another run ({'; '.join(changed[:3])})",
            "give the arguments it had, another -o, or --force to start again",
        )
