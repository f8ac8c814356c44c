"""Reading the JSON files of a folder into the dataclasses that they were written from."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from addercost.errors import DataError
from addercost.reading import json_data, read_as
from addercost.results.trace import check_schema

T = TypeVar("T")


def read_settings_file(kind: type[T], path: Path, schema: str) -> T:
    """Raises DataError for a file that cannot be read, is of another schema, or does not fit `kind`."""
    source = str(path)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"cannot read {source}: {error}") from None
    data = json_data(text, source)
    check_schema(data, schema, source)
    return read_as(kind, {name: value for name, value in data.items() if name != "schema"}, source)
