"""Frozen dataclasses to plain data and back, checked against their own annotations.

Covers what report documents hold: str, int, float, bool, None, unions of those, tuple[X, ...],
Mapping[str, X] and other dataclasses. A float must be finite unless its field says `allow_nan`.
"""

from __future__ import annotations

import dataclasses
import math
import types
from collections.abc import Mapping
from functools import cache
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from addercost.errors import DataError

T = TypeVar("T")


def to_plain(value: Any) -> Any:
    """Dataclasses as dicts, tuples as lists; the rest as it is."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: to_plain(getattr(value, f.name)) for f in dataclasses.fields(value) if f.init}
    if isinstance(value, Mapping):
        return {str(key): to_plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [to_plain(item) for item in value]
    return value


def from_plain(cls: type[T], data: Any, source: str) -> T:
    """The `cls` that `to_plain` made `data` from. Raises DataError that names `source` and the field."""
    made: T = _dataclass(cls, data, source)
    return made


@cache
def _hints(cls: type) -> dict[str, Any]:
    return get_type_hints(cls)


def _dataclass(cls: Any, data: Any, where: str) -> Any:
    if not isinstance(data, Mapping):
        raise DataError(f"{where}: expected an object, found {_named(data)}")
    hints, values = _hints(cls), {}
    for field in dataclasses.fields(cls):
        if field.name in data:
            allow_nan = bool(field.metadata.get("allow_nan"))
            values[field.name] = _value(
                hints[field.name], data[field.name], f"{where}, {field.name}", allow_nan
            )
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise DataError(f"{where}: {field.name} is missing")
    return cls(**values)


def _value(hint: Any, data: Any, where: str, allow_nan: bool) -> Any:
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        options = [option for option in get_args(hint) if option is not type(None)]
        if data is None and len(options) < len(get_args(hint)):
            return None
        return _value(options[0], data, where, allow_nan)
    if origin is tuple:
        if not isinstance(data, list | tuple):
            raise DataError(f"{where}: expected a list, found {_named(data)}")
        item = get_args(hint)[0]
        return tuple(_value(item, part, f"{where}[{i}]", allow_nan) for i, part in enumerate(data))
    if origin is not None:
        if not isinstance(data, Mapping):
            raise DataError(f"{where}: expected an object, found {_named(data)}")
        item = get_args(hint)[1]
        return {str(key): _value(item, part, f"{where}.{key}", allow_nan) for key, part in data.items()}
    if dataclasses.is_dataclass(hint):
        return _dataclass(hint, data, where)
    return _scalar(hint, data, where, allow_nan)


def _scalar(hint: Any, data: Any, where: str, allow_nan: bool) -> Any:
    if hint is Any:
        return data
    if hint is float and isinstance(data, int | float) and not isinstance(data, bool):
        if not allow_nan and not math.isfinite(data):
            raise DataError(f"{where}: {data} is not a finite number")
        return data
    if isinstance(data, hint) and not (isinstance(data, bool) and hint is not bool):
        return data
    expected = {str: "a text", int: "a whole number", float: "a number", bool: "true or false"}.get(
        hint, hint
    )
    raise DataError(f"{where}: expected {expected}, found {_named(data)}")


def _named(data: Any) -> str:
    text = repr(data)
    return text if len(text) <= 40 else text[:39] + "…"
