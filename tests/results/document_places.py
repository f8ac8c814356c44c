"""Every place of a document, for tests that damage one after the other."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


def places(data: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every value of a document by its path, but of each list only the first two."""
    if path:
        yield path
    if isinstance(data, dict):
        for key, item in data.items():
            yield from places(item, (*path, key))
    elif isinstance(data, list):
        for index, item in enumerate(data[:2]):
            yield from places(item, (*path, index))
