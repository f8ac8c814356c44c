"""The common parts of documents that addercost writes and reads back: a versioned schema, a title, a
reader.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from addercost.errors import DataError

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Document(Generic[T]):
    """A kind of document. read: makes a `kind` from plain data; its second argument is the document's name
    for messages.
    """

    schema: str
    title: str
    kind: type[T]
    read: Callable[[Any, str], T]


def checked_fields(data: Any, schema: str, source: str) -> dict[str, Any]:
    """The fields of a document without its schema. Raises DataError unless it has exactly this schema."""
    found = data.get("schema") if isinstance(data, Mapping) else None
    if found == schema:
        return {name: value for name, value in data.items() if name != "schema"}
    kind = schema.rpartition("/")[0]
    if is_other_version(found, schema):
        raise other_version(source, found, schema)
    what = f"schema {found!r}" if found is not None else "no schema"
    raise DataError(f"{source} is not a {kind.rpartition('/')[2]} of addercost ({what}, expected {schema!r})")


def is_other_version(found: object, schema: str) -> bool:
    """Whether a schema belongs to another version of the same kind of document."""
    return isinstance(found, str) and found.rpartition("/")[0] == schema.rpartition("/")[0]


def other_version(source: str, found: object, schema: str) -> DataError:
    return DataError(
        f"{source} has schema {found}, this version reads {schema}",
        "make it again with this version of addercost",
    )


@contextmanager
def advising(hint: str) -> Iterator[None]:
    """Adds this hint to errors about a damaged document that have none."""
    try:
        yield
    except DataError as error:
        raise DataError(error.message, error.hint or hint) from None
