"""Dataclasses as plain data for JSON."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

_OMITTED = "omitted where empty"


def omitted_where_empty() -> Any:
    """A field whose default is an empty tuple and that is left out of the document while it is empty."""
    return dataclasses.field(default=(), metadata={_OMITTED: True})


def to_plain(value: Any) -> Any:
    """The plain data of a value: dataclasses become dicts, tuples become lists, and anything else is
    unchanged. `addercost.reading.read_as` reads it back.
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {
            f.name: to_plain(item)
            for f in dataclasses.fields(value)
            if f.init and ((item := getattr(value, f.name)) or not f.metadata.get(_OMITTED))
        }
    if isinstance(value, Mapping):
        return {str(key): to_plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [to_plain(item) for item in value]
    return value
