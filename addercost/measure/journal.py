"""Rows on disk as they are made: a kill at any moment loses the row in flight and no other.

A journal is JSON lines: what the run is, then one line a row, each synced before the next row starts. It lies
beside the result under its name with `.journal` and is gone when the result is written.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from addercost.errors import DataError, OutputError
from addercost.results.environment import MAY_DIFFER, differences
from addercost.results.files import write_file
from addercost.results.measurements import (
    FailedRow,
    MeasuredRow,
    Measurements,
    measurements_to_json,
    row_from_data,
)
from addercost.results.plain import from_plain, to_plain
from addercost.results.saved import KINDS, read_saved

SCHEMA = "addercost/bench-journal/1"

Entry = MeasuredRow | FailedRow


def journal_path(output: Path) -> Path:
    return output.with_name(output.name + ".journal")


@dataclass(frozen=True, slots=True)
class JournalHeading:
    """What a journal is of: only a run that has the same goes on with it."""

    model: str
    settings: Mapping[str, str]
    environment: Mapping[str, str]
    limits: Mapping[str, float]
    notes: tuple[str, ...] = ()


class Journal:
    """Rows by key, those of an earlier run included. Use `open_journal`."""

    def __init__(self, heading: JournalHeading, path: Path | None, entries: dict[str, Entry]) -> None:
        self.heading, self.path, self.entries = heading, path, entries

    def add(self, key: str, entry: Entry) -> None:
        """Raises OutputError where it cannot be written."""
        self.entries[key] = entry
        if self.path is not None:
            kind = "row" if isinstance(entry, MeasuredRow) else "failed"
            _append(self.path, {"key": key, kind: to_plain(entry)})

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
    """Whether a stopped run's journal was there, whose rows are now its document. Raises DataError where no
    row of it is whole, OutputError where the document cannot be written.
    """
    journal = journal_path(document)
    if not journal.exists():
        return False
    write_file(document, measurements_to_json(read_measurements(journal)), force=True)
    journal.unlink()
    return True


def read_measurements(path: Path) -> Measurements:
    """A saved document, or every whole row of a journal, which is also found by the document's name.

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
        raise DataError(f"{path} is {KINDS[type(saved)]}, not measurements", "make some with addercost bench")
    return saved


def open_journal(heading: JournalHeading, output: Path | None) -> Journal:
    """A new journal for `output`, or the one a killed run left, without its last line if that was cut.

    Raises DataError where what is there belongs to another run.
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
    _append(path, {"schema": SCHEMA, **to_plain(heading)})
    return Journal(heading, path, {})


def read_journal(path: Path) -> tuple[JournalHeading | None, dict[str, Entry], int]:
    """(what it is of, rows by key, bytes of whole lines). None where not even the first line is whole.

    Raises DataError for a file that is no journal of ours, or damaged before its last line.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from None
    heading: JournalHeading | None = None
    entries: dict[str, Entry] = {}
    end = 0
    for number, line, after in _whole_lines(data):
        where = f"{path}, line {number}"
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise DataError(f"{where} is not JSON: {error}", "remove the file to start again") from None
        if heading is None:
            if not isinstance(record, dict) or record.get("schema") != SCHEMA:
                raise DataError(f"{path} is no journal of this version", "remove it to start again")
            heading = from_plain(JournalHeading, record, where)
        else:
            key, entry = _entry(record, where)
            entries[key] = entry
        end = after
    return heading, entries, end


def _whole_lines(data: bytes) -> Iterator[tuple[int, bytes, int]]:
    """(number, line, offset after it) of the lines that end; a crash leaves the last one cut, or zeros."""
    start, number = 0, 1
    while (stop := data.find(b"\n", start)) >= 0:
        line = data[start:stop]
        if b"\0" in line:
            return
        yield number, line, stop + 1
        start, number = stop + 1, number + 1


def _entry(record: Any, where: str) -> tuple[str, Entry]:
    if not isinstance(record, dict) or not isinstance(record.get("key"), str):
        raise DataError(f"{where}: no row of a journal", "remove the file to start again")
    if "row" in record:
        return record["key"], row_from_data(record["row"], where)
    return record["key"], from_plain(FailedRow, record.get("failed"), where)


def _refuse_another(path: Path, found: JournalHeading, heading: JournalHeading) -> None:
    changed = [
        f"{name} {found.settings.get(name, 'unset')}, now {heading.settings.get(name, 'unset')}"
        for name in dict.fromkeys((*found.settings, *heading.settings))
        if found.settings.get(name) != heading.settings.get(name)
    ]
    if found.model != heading.model:
        changed.insert(0, f"model {found.model}, now {heading.model}")
    changed += differences(found.environment, heading.environment)
    # Rows of two versions of our kernels do not belong into one table either.
    changed += [
        f"{name}: {found.environment.get(name, '')}, {heading.environment.get(name, '')}"
        for name in MAY_DIFFER
        if name != "date" and found.environment.get(name) != heading.environment.get(name)
    ]
    if changed:
        raise DataError(
            f"{path} is of another run ({'; '.join(changed[:3])})",
            "give the arguments it had, another -o, or --force to start again",
        )


def _append(path: Path, record: Mapping[str, Any]) -> None:
    line = json.dumps(record, allow_nan=False) + "\n"
    try:
        with path.open("ab") as file:
            file.write(line.encode("utf-8"))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror or error}", "free some space") from None
