"""Reads the JSON files of a folder into the dataclasses from which they were written."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from addercost.input_files import read_text
from addercost.reading import json_data, read_as
from addercost.results.document import checked_fields

T = TypeVar("T")


def read_settings_file(kind: type[T], path: Path, schema: str) -> T:
    """Reads a file into a `kind`. Raises DataError for a file that cannot be read, has another schema, or
    does not fit `kind`.
    """
    source = str(path)
    return read_as(kind, checked_fields(json_data(read_text(path), source), schema, source), source)
