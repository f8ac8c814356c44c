"""Reading the JSON files of a folder into the dataclasses that they were written from."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from addercost.errors import DataError
from addercost.reading import json_data, read_as
from addercost.results.document import checked_fields

T = TypeVar("T")


def read_settings_file(kind: type[T], path: Path, schema: str) -> T:
    """Raises DataError for a file that cannot be read, is of another schema, or does not fit `kind`."""
    source = str(path)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"cannot read {source}: {error}") from None
    return read_as(kind, checked_fields(json_data(text, source), schema, source), source)
