"""Reads JSON and TOML into frozen dataclasses. msgspec validates the data against the annotations of the
fields.

The annotation of a field says which values it takes: `str`, `int`, `float`, `bool`, an enum, a `Literal`, `X
| None`, `tuple[X, ...]`, `Mapping[str, X]`, another dataclass, or one of the narrower types below. Any other
value raises a `DataError` that names the document, the path of the field, the value and the expectation:

    net.json: layers[3].parameters = -1: expected a whole number of at least 0

A field that the dataclass does not have is refused. A field without a default must be present.
"""

from __future__ import annotations

import dataclasses
import enum
import json
import math
import re
import sys
import types
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from addercost.errors import AddercostError, DataError

T = TypeVar("T")

_MOST_DIGITS = 308
"""The most digits of a whole number. One with more has no floating-point form, so nothing can be computed
with it.
"""

_LARGEST = 10**_MOST_DIGITS - 1
_LARGEST_64_BIT = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits on a number. A whole number has at most 64 bits unless it may be `large`; counts of operations
    may, since they are products of 64-bit factors. A floating-point number must be finite unless `finite` is
    False.
    """

    least: float | None = None
    above: float | None = None
    below: float | None = None
    large: bool = False
    finite: bool = True

    @property
    def expected(self) -> str:
        """The words that follow "a number" in messages: " above 0", " of at least 1"."""
        parts = []
        if self.least is not None:
            parts.append(f"of at least {self.least:g}")
        if self.above is not None:
            parts.append(f"above {self.above:g}")
        if self.below is not None:
            parts.append(f"below {self.below:,.0f}")
        return "".join(f" {part}" for part in (" and ".join(parts),) if part)


NOT_BLANK = "not blank"
"""The mark of a text that must not be empty or consist of blanks."""

Text = Annotated[str, NOT_BLANK]
Whole = Annotated[int, Limits(least=1)]
Size = Annotated[int, Limits(least=0)]
Count = Annotated[int, Limits(least=0, large=True)]
Positive = Annotated[float, Limits(above=0)]
NotNegative = Annotated[float, Limits(least=0)]
Amount = Annotated[float, Limits(least=0, large=True)]
AnyNumber = Annotated[float, Limits(finite=False)]


def json_data(text: str, source: str) -> Any:
    """The plain data of a JSON text. Raises DataError naming `source`.

    Python's own parser is used, since msgspec's refuses NaN, which is in files of other benchmarks, and lone
    surrogates, which are in names of hostile models.
    """
    try:
        return json.loads(text)
    except RecursionError:
        raise DataError(f"{source} is not JSON: nested too deeply") from None
    except ValueError as error:
        raise DataError(f"{source} is not JSON: {error}") from None


def toml_data(text: str, source: str) -> Any:
    """The plain data of a TOML text. Raises DataError naming `source`."""
    msgspec = _msgspec()
    try:
        return msgspec.toml.decode(text)
    except RecursionError:
        raise DataError(f"{source}: nested too deeply") from None
    except ValueError as error:
        raise DataError(f"{source}: not TOML: {error}") from None


def read_as(kind: type[T], data: Any, source: str, where: str = "") -> T:
    """Makes a `kind`, a dataclass or a tuple of dataclasses, of plain data.

    source: the document's name. where: the path of `data` in it. Both are for messages. Raises DataError.
    """
    msgspec = _msgspec()
    wanted: Any = kind
    try:
        checked = msgspec.convert(data, _checked_type(wanted))
    except msgspec.ValidationError as error:
        raise DataError(f"{source}: {_fault(str(error), kind, data, where)}") from None
    try:
        made: T = _builder(wanted)(checked)
    except DataError as error:
        # A dataclass refuses values that contradict each other.
        raise DataError(f"{source}: {error.message}", error.hint) from None
    except OverflowError:
        large = next((found for found in _whole_numbers(data, where) if abs(found[1]) > _LARGEST), None)
        if large is None:
            raise DataError(f"{source}: the sum of its numbers is too large for a number") from None
        raise misfit(source, *large, f"a number of at most {_MOST_DIGITS} digits") from None
    return made


def json_schema(kind: type, schema: str) -> dict[str, Any]:
    """The JSON Schema (2020-12) of a document: the data that `read_as` takes for `kind`, with the field
    `schema`.
    """
    made: dict[str, Any] = _msgspec().json.schema(_checked_type(kind))
    fields = made["$defs"][made["$ref"].rpartition("/")[2]]
    fields["properties"] = {"schema": {"const": schema}, **fields["properties"]}
    fields["required"] = ["schema", *fields["required"]]
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": schema, **made}


def misfit(source: str, path: str, value: object, expected: str) -> DataError:
    """The error for one value. The value is shortened to fit a line."""
    return DataError(f"{source}: {_misfit(path, value, expected)}")


def _misfit(path: str, value: object, expected: str) -> str:
    return f"{path or 'the document'} = {_cut(value)}: expected {expected}"


def _msgspec() -> Any:
    try:
        import msgspec
    except ImportError:
        raise AddercostError(
            "reading JSON and TOML needs the package msgspec", "install it: pip install msgspec"
        ) from None
    return msgspec


@cache
def _hints(kind: type) -> dict[str, Any]:
    """The annotations of a dataclass's fields that are in the document."""
    hints = get_type_hints(kind, include_extras=True)
    return {field.name: hints[field.name] for field in dataclasses.fields(kind) if field.init}


@cache
def _checked_type(hint: Any) -> Any:
    """The type that msgspec checks in place of an annotation.

    A dataclass becomes a struct that refuses unknown fields, which msgspec does not do for dataclasses. A
    `float` stays a whole number where the document has one, so that sums of cycles stay exact.
    """
    msgspec = _msgspec()
    hint, marks = _split(hint)
    limits = next((mark for mark in marks if isinstance(mark, Limits)), Limits())
    if hint is int:
        return _checked_int(limits)
    if hint is float:
        return _checked_int(limits) | _checked_float(limits)
    if hint is str:
        return Annotated[str, msgspec.Meta(pattern=r"\S")] if NOT_BLANK in marks else str
    if dataclasses.is_dataclass(hint):
        kind: Any = hint
        return _struct(kind)
    origin, inner = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return Union[tuple(_checked_type(option) for option in inner)]  # noqa: UP007
    if origin is tuple:
        return tuple[_checked_type(inner[0]), ...]  # type: ignore[misc]
    if origin is Mapping:
        return dict[str, _checked_type(inner[1])]  # type: ignore[misc]
    return hint


def _checked_int(limits: Limits) -> Any:
    bounds: dict[str, int] = {}
    if not limits.large:
        bounds = {"ge": -_LARGEST_64_BIT - 1, "le": _LARGEST_64_BIT}
    if limits.least is not None:
        bounds["ge"] = math.ceil(limits.least)
    if limits.above is not None:
        bounds["ge"] = math.floor(limits.above) + 1
    if limits.below is not None:
        bounds["le"] = math.ceil(limits.below) - 1
    return Annotated[int, _msgspec().Meta(**bounds)] if bounds else int


def _checked_float(limits: Limits) -> Any:
    bounds: dict[str, float] = {}
    if limits.finite:
        bounds = {"ge": -sys.float_info.max, "le": sys.float_info.max}
    if limits.least is not None:
        bounds["ge"] = limits.least
    if limits.above is not None:
        bounds.pop("ge", None)
        bounds["gt"] = limits.above
    if limits.below is not None:
        bounds.pop("le", None)
        bounds["lt"] = limits.below
    return Annotated[float, _msgspec().Meta(**bounds)] if bounds else float


@cache
def _struct(kind: type) -> Any:
    entries: list[Any] = []
    for field in dataclasses.fields(kind):
        if not field.init:
            continue
        entry = (field.name, _checked_type(_hints(kind)[field.name]))
        if field.default is not dataclasses.MISSING:
            entries.append((*entry, field.default))
        elif field.default_factory is not dataclasses.MISSING:
            entries.append((*entry, _msgspec().field(default_factory=field.default_factory)))
        else:
            entries.append(entry)
    return _msgspec().defstruct(kind.__name__, entries, forbid_unknown_fields=True)


@cache
def _builder(hint: Any) -> Callable[[Any], Any]:
    """A function that makes the value of an annotation from msgspec's result."""
    return _needed_builder(hint) or (lambda value: value)


@cache
def _needed_builder(hint: Any) -> Callable[[Any], Any] | None:
    """The same function, or None where msgspec's result is the value already."""
    hint, marks = _split(hint)
    if any(isinstance(mark, Limits) and mark.large for mark in marks):
        return _not_too_large
    if dataclasses.is_dataclass(hint):
        return _dataclass_builder(hint)
    inner = [build for option in get_args(hint) if (build := _needed_builder(option)) is not None]
    if not inner:
        return None
    (build,) = inner
    origin = get_origin(hint)
    if origin is tuple:
        return lambda items: tuple([build(item) for item in items])
    if origin is Mapping:
        return lambda items: {key: build(item) for key, item in items.items()}
    return lambda value: None if value is None else build(value)


def _not_too_large(number: float) -> float:
    if abs(number) > _LARGEST:
        raise OverflowError
    return number


def _dataclass_builder(kind: Any) -> Callable[[Any], Any]:
    as_tuple = _msgspec().structs.astuple
    nested = [
        (position, build)
        for position, hint in enumerate(_hints(kind).values())
        if (build := _needed_builder(hint)) is not None
    ]

    if not nested:
        # A default is already an instance of the dataclass.
        return lambda checked: checked if isinstance(checked, kind) else kind(*as_tuple(checked))

    def build_dataclass(checked: Any) -> Any:
        if isinstance(checked, kind):
            return checked
        values = list(as_tuple(checked))
        for position, build in nested:
            values[position] = build(values[position])
        return kind(*values)

    return build_dataclass


def _split(hint: Any) -> tuple[Any, tuple[Any, ...]]:
    """(an annotation without its marks, the marks)."""
    return (get_args(hint)[0], hint.__metadata__) if get_origin(hint) is Annotated else (hint, ())


_STEP = re.compile(r"\.(\w+)|\[(\d+)\]|\[(\.\.\.)\]")


def _fault(message: str, kind: type, data: Any, where: str) -> str:
    """The error for msgspec's message, in our words and with the value."""
    what, _, at = message.rpartition(" - at `")
    what = what or message
    try:
        path, hint, value = _located(at, kind, data, where)
        if what.startswith("Object missing required field"):
            name = next(name for name in _required(hint) if name not in value)
            return f"{_joined(path, name)} is missing: expected {expectation(_hints(hint)[name])}"
        if what.startswith("Object contains unknown field"):
            name = next(name for name in value if name not in _hints(hint))
            known = ", ".join(_hints(hint))
            return f"{_joined(path, name)} = {_cut(value[name])}: no such field; known here: {known}"
        return _misfit(path, value, expectation(hint, value))
    except (LookupError, TypeError, StopIteration):
        # The message quotes a name from the document that looks like a path.
        return _cut(message)


def _located(at: str, kind: type, data: Any, path: str) -> tuple[str, Any, Any]:
    """(path, annotation, value) at msgspec's path, such as `$.rows[0].limits[...]`."""
    hint: Any = kind
    for name, index, _ in _STEP.findall(at):
        hint = _without_none(hint)
        if name:
            hint, data, path = _hints(hint)[name], data[name], _joined(path, name)
        elif index:
            hint, data, path = get_args(hint)[0], data[int(index)], f"{path}[{index}]"
        else:
            hint = get_args(hint)[1]
            key = next(key for key, item in data.items() if not fits(hint, item))
            data, path = data[key], _joined(path, key)
    return path, _without_none(hint), data


def fits(hint: Any, data: Any) -> bool:
    """Whether an annotation takes this plain data."""
    msgspec = _msgspec()
    try:
        msgspec.convert(data, _checked_type(hint))
    except msgspec.ValidationError:
        return False
    return True


def _without_none(hint: Any) -> Any:
    """X for `X | None`; any other union unchanged."""
    if get_origin(hint) in (Union, types.UnionType):
        options = [option for option in get_args(hint) if option is not type(None)]
        return options[0] if len(options) == 1 else hint
    return hint


def _required(kind: Any) -> Iterator[str]:
    for field in dataclasses.fields(kind):
        if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            yield field.name


def expectation(hint: Any, value: object = None) -> str:
    """Words for the values that a field with this annotation takes. value: the value that it has instead."""
    hint, marks = _split(_without_none(hint))
    limits = next((mark for mark in marks if isinstance(mark, Limits)), Limits())
    if hint is float and isinstance(value, float) and not math.isfinite(value):
        return "a finite number"
    if hint is int and type(value) is int and abs(value) > _LARGEST_64_BIT and not limits.large:
        return "a whole number of at most 64 bits"
    if hint in (int, float):
        return f"{'a whole number' if hint is int else 'a number'}{limits.expected}"
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return f"one of {', '.join(str(member.value) for member in hint)}"
    if get_origin(hint) is Literal:
        return f"one of {', '.join(map(str, get_args(hint)))}"
    if get_origin(hint) is tuple:
        return "a list"
    if get_origin(hint) is Mapping or dataclasses.is_dataclass(hint):
        return "an object"
    return {str: "text", bool: "true or false"}.get(hint, "another value")


def _joined(path: str, name: str) -> str:
    shown = name if re.fullmatch(r"[\w.-]{1,60}", name) else f"[{_cut(name)}]"
    return f"{path}.{shown}" if path and shown == name else f"{path}{shown}"


def _cut(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _whole_numbers(data: Any, path: str) -> Iterator[tuple[str, int]]:
    if isinstance(data, dict):
        for key, item in data.items():
            yield from _whole_numbers(item, _joined(path, key))
    elif isinstance(data, list):
        for index, item in enumerate(data):
            yield from _whole_numbers(item, f"{path}[{index}]")
    elif type(data) is int:
        yield path, data
