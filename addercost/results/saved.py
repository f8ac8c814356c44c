"""Reads back any file of ours: trace, profile, report (as JSON or as the page), measurements, training.

The folder of a training run stands for the record in it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

from addercost.errors import DataError
from addercost.results.document_names import JSON_SUFFIX, PAGE_SUFFIXES
from addercost.results.measurements import SCHEMA as MEASUREMENTS
from addercost.results.measurements import Measurements, measurements_from_data
from addercost.results.profile import SCHEMA as PROFILE
from addercost.results.profile import Profile, profile_from_data
from addercost.results.report import SCHEMA as REPORT
from addercost.results.report import Report, report_from_data
from addercost.results.trace import trace_from_data
from addercost.results.training import RECORD, TrainingRun, training_from_data
from addercost.results.training import SCHEMA as TRAINING
from addercost.trace.record import SCHEMA as TRACE
from addercost.trace.record import Trace

Saved: TypeAlias = Trace | Profile | Report | Measurements | TrainingRun

_READERS: dict[str, Callable[[Any, str], Saved]] = {
    TRACE: trace_from_data,
    PROFILE: profile_from_data,
    REPORT: report_from_data,
    MEASUREMENTS: measurements_from_data,
    TRAINING: training_from_data,
}
KINDS = {
    Trace: "a trace",
    Profile: "a profile",
    Report: "a report",
    Measurements: "measurements",
    TrainingRun: "a training record",
}
"""What each is called in messages."""

DATA_ID = "addercost-data"
"""The id of the script element that holds a page's data."""

_ISLAND = re.compile(rf'<script type="application/json" id="{DATA_ID}">(.*?)</script>', re.DOTALL)


def is_saved(name: str) -> bool:
    """Whether a command's argument names a file of ours, or a training run's folder, rather than a model."""
    return name.endswith((JSON_SUFFIX, *PAGE_SUFFIXES)) or (Path(name) / RECORD).is_file()


def read_saved(path: Path) -> Saved:
    """Raises DataError where the file is missing, damaged, or none of ours."""
    if path.is_dir():
        path /= RECORD
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise DataError(f"{path} does not exist", "check the name") from None
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"cannot read {path}: {error}") from None
    source = str(path)
    if path.suffix in PAGE_SUFFIXES:
        found = _ISLAND.search(text)
        if found is None:
            raise DataError(
                f"{source} is not a report of addercost", "make one with `addercost report … -o FILE.html`"
            )
        text = found[1]
    return saved_from_text(text, source)


def saved_from_text(text: str, source: str) -> Saved:
    """The same from the text of a JSON document."""
    try:
        data: Any = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{source} is not JSON: {error}") from None
    schema = data.get("schema") if isinstance(data, dict) else None
    if schema in _READERS:
        return _READERS[schema](data, source)
    known = sorted(_READERS)
    for name in known:
        if isinstance(schema, str) and schema.rpartition("/")[0] == name.rpartition("/")[0]:
            raise DataError(
                f"{source} has schema {schema}, this version reads {name}",
                "make it again with this version of addercost",
            )
    found = f"its schema is {schema!r}" if schema is not None else "it has no schema"
    raise DataError(f"{source} is no file of addercost: {found}", f"known: {', '.join(known)}")
