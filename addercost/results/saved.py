"""Reads back any file that commands take in place of a model: trace, profile, report (JSON or page),
measurements, training record.

The folder of a training run stands for the record in it.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, TypeAlias

from addercost.errors import DataError
from addercost.input_files import read_text
from addercost.reading import json_data
from addercost.results import measurements, profile, report, trace, training
from addercost.results.document import Document, is_other_version, other_version
from addercost.results.document_names import JSON_SUFFIX, PAGE_SUFFIXES
from addercost.results.measurements import Measurements
from addercost.results.profile import Profile
from addercost.results.report import Report
from addercost.results.training import RECORD, TrainingRun
from addercost.trace.record import Trace

Saved: TypeAlias = Trace | Profile | Report | Measurements | TrainingRun

DOCUMENTS: tuple[Document[Any], ...] = (
    measurements.DOCUMENT,
    profile.DOCUMENT,
    report.DOCUMENT,
    trace.DOCUMENT,
    training.DOCUMENT,
)

DATA_ID = "addercost-data"
"""The id of the script element that holds a page's data."""

_ISLAND = re.compile(rf'<script type="application/json" id="{DATA_ID}">(.*?)</script>', re.DOTALL)


def is_saved(name: str) -> bool:
    """Whether a command's argument names a file of ours, or a training run's folder, rather than a model."""
    return name.endswith((JSON_SUFFIX, *PAGE_SUFFIXES)) or (Path(name) / RECORD).is_file()


def title_of(saved: Saved) -> str:
    """The words for a document in messages: "a profile"."""
    return next(document.title for document in DOCUMENTS if isinstance(saved, document.kind))


def read_saved(path: Path) -> Saved:
    """The document in a file. Raises DataError where the file is missing, damaged, or not written by
    addercost.
    """
    if path.is_dir():
        path /= RECORD
    text, source = read_text(path), str(path)
    if path.suffix in PAGE_SUFFIXES:
        found = _ISLAND.search(text)
        if found is None:
            raise DataError(
                f"{source} is not a report of addercost", "make one with `addercost report … -o FILE.html`"
            )
        text = found[1]
    return saved_from_text(text, source)


def saved_from_text(text: str, source: str) -> Saved:
    """The document in the text of a JSON file. Raises as `read_saved`."""
    data = json_data(text, source)
    schema = data.get("schema") if isinstance(data, dict) else None
    for document in DOCUMENTS:
        if schema == document.schema:
            saved: Saved = document.read(data, source)
            return saved
        if is_other_version(schema, document.schema):
            raise other_version(source, schema, document.schema)
    found = f"its schema is {schema!r}" if schema is not None else "it has no schema"
    known = ", ".join(document.schema for document in DOCUMENTS)
    raise DataError(f"{source} is no file of addercost: {found}", f"known: {known}")
