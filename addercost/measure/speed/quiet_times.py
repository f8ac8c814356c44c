"""The file with the reference's time on each quiet machine, in the user's cache folder. Only a shorter time
replaces one that is there.

{"schema": "addercost/quiet-times/1", "seconds": {"AMD EPYC 25-17-1, 1 thread, torch 2.13.0": 4.29e-5}}
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from addercost.errors import OutputError
from addercost.hardware.loader import host_file
from addercost.input_files import read_text
from addercost.reading import Positive, json_data, read_as
from addercost.results.document import advising, checked_fields
from addercost.results.files import write_file

SCHEMA = "addercost/quiet-times/1"


@dataclass(frozen=True, slots=True)
class QuietTimes:
    """seconds: the reference's time, by the key of `machine_key`."""

    seconds: Mapping[str, Positive]


def quiet_times_file() -> Path:
    return host_file().with_name("quiet-times.json")


def read_quiet_times(path: Path) -> QuietTimes:
    """The content of the file, empty where there is none. Raises DataError for a damaged file."""
    if not path.exists():
        return QuietTimes({})
    with advising("remove the file: the quiet times are then measured anew"):
        fields = checked_fields(json_data(read_text(path), str(path)), SCHEMA, str(path))
        return read_as(QuietTimes, fields, str(path))


def keep_quiet_time(path: Path, machine: str, seconds: float) -> None:
    """Writes the time of `machine` unless the file has a shorter one. Raises DataError, OutputError."""
    # Read again: another process may have found a shorter one meanwhile.
    known = read_quiet_times(path).seconds
    if seconds >= known.get(machine, seconds + 1):
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"cannot make {path.parent}: {error.strerror}", "set XDG_CACHE_HOME to a folder of yours"
        ) from None
    document = {"schema": SCHEMA, "seconds": {**known, machine: seconds}}
    write_file(path, json.dumps(document, indent=1) + "\n", force=True)
