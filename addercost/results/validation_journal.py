"""Writes the rows of a validation to disk as they are made, so that a killed run can continue."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from addercost.errors import DataError
from addercost.input_files import read_bytes
from addercost.reading import json_data, read_as
from addercost.results.document import advising, checked_fields
from addercost.results.journal_lines import append_line, journal_path, whole_lines
from addercost.results.plain import to_plain
from addercost.results.validation import SkippedRow, ValidationRow

SCHEMA = "addercost/validation-journal/1"

Entry: TypeAlias = "ValidationRow | SkippedRow"


class ValidationJournal:
    """An open journal. It has the rows by name, also those of the killed run. Made by `open_journal`."""

    def __init__(self, path: Path | None, entries: dict[str, Entry]) -> None:
        self.path, self.entries = path, entries

    def add(self, entry: Entry) -> None:
        """Writes the row to the disk before it returns. Raises OutputError where that fails."""
        self.entries[entry.name] = entry
        if self.path is not None:
            kind = "row" if isinstance(entry, ValidationRow) else "skipped"
            append_line(self.path, {kind: to_plain(entry)})


@dataclass(frozen=True, slots=True)
class _Heading:
    settings: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class _Line:
    row: ValidationRow | None = None
    skipped: SkippedRow | None = None


def open_journal(output: Path | None, settings: Mapping[str, str]) -> ValidationJournal:
    """A new journal for `output`, or the journal of a killed run with the same settings.

    Raises DataError where the journal is damaged or belongs to a run with other settings.
    """
    if output is None:
        return ValidationJournal(None, {})
    path = journal_path(output)
    if path.exists():
        found = _read(path, settings)
        if found is not None:
            return found
    path.unlink(missing_ok=True)
    append_line(path, {"schema": SCHEMA, "settings": dict(settings)})
    return ValidationJournal(path, {})


def _read(path: Path, settings: Mapping[str, str]) -> ValidationJournal | None:
    """The rows of a journal, whose last line may be cut off; None where even the first line is incomplete."""
    heading: _Heading | None = None
    entries: dict[str, Entry] = {}
    end = 0
    for number, line, after in whole_lines(read_bytes(path)):
        source = f"{path}, line {number}"
        with advising("remove the file to start again"):
            record: Any = json_data(line.decode("utf-8", "replace"), source)
            if heading is None:
                heading = read_as(_Heading, checked_fields(record, SCHEMA, source), source)
                _refuse_another(path, heading.settings, settings)
            else:
                read = read_as(_Line, record, source)
                entry = read.row or read.skipped
                if entry is None:
                    raise DataError(f"{source}: row is missing: expected a row, or skipped")
                entries[entry.name] = entry
        end = after
    if heading is None:
        return None
    os.truncate(path, end)
    return ValidationJournal(path, entries)


def _refuse_another(path: Path, found: Mapping[str, str], wanted: Mapping[str, str]) -> None:
    changed = [
        f"{name} {found.get(name, 'unset')}, now {wanted.get(name, 'unset')}"
        for name in dict.fromkeys((*found, *wanted))
        if found.get(name) != wanted.get(name)
    ]
    if changed:
        raise DataError(
            f"{path} is of another run ({'; '.join(changed[:3])})",
            "give the arguments it had, another -o, or --force to start again",
        )
