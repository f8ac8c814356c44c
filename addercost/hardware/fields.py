"""Typed reading of one TOML table: every error names the file, the key, the value and what was expected."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from addercost.errors import DataError


def bad(file: str, key: str, value: object, expected: str) -> DataError:
    """The error for one value: file, key, value and expectation, the value cut to a line."""
    shown = repr(value)
    if len(shown) > 60:
        shown = shown[:57] + "..."
    return DataError(f"{file}: {key} = {shown}: expected {expected}")


def number(file: str, key: str, value: object, minimum: float = 0.0, exclusive: bool = True) -> float:
    """A finite int or float above `minimum` (or at it, when not `exclusive`). Ints stay ints, so sums stay
    exact.
    """
    if type(value) is not int and type(value) is not float:
        raise bad(file, key, value, "a number")
    if not math.isfinite(value):
        raise bad(file, key, value, "a finite number")
    if value < minimum or (exclusive and value == minimum):
        raise bad(file, key, value, f"a number {'above' if exclusive else 'of at least'} {minimum:g}")
    return value


def integer(file: str, key: str, value: object, minimum: int = 1) -> int:
    if type(value) is not int or value < minimum:
        raise bad(file, key, value, f"a whole number of at least {minimum}")
    return value


def text(file: str, key: str, value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise bad(file, key, value, "text")
    return value


class Fields:
    """One TOML table being read. Each `take_*` removes its key; `finish` refuses the keys nobody asked
    for.
    """

    def __init__(self, file: str, where: str, table: object) -> None:
        if not isinstance(table, Mapping):
            raise bad(file, where, table, "a table")
        self.file = file
        self.where = where
        self._left: dict[str, Any] = dict(table)
        self._known: list[str] = []

    def key(self, name: str) -> str:
        return f"{self.where}.{name}" if self.where else name

    def take(self, name: str) -> Any:
        """The raw value, or None where the key is absent (TOML has no null of its own)."""
        self._known.append(name)
        return self._left.pop(name, None)

    def require(self, name: str, expected: str) -> Any:
        value = self.take(name)
        if value is None:
            raise DataError(f"{self.file}: {self.key(name)} is missing: expected {expected}")
        return value

    def text(self, name: str) -> str:
        return text(self.file, self.key(name), self.require(name, "text"))

    def optional_text(self, name: str) -> str:
        value = self.take(name)
        return "" if value is None else text(self.file, self.key(name), value)

    def number(self, name: str) -> float:
        return number(self.file, self.key(name), self.require(name, "a number above 0"))

    def optional_number(self, name: str) -> float | None:
        value = self.take(name)
        return None if value is None else number(self.file, self.key(name), value)

    def integer(self, name: str) -> int:
        return integer(self.file, self.key(name), self.require(name, "a whole number of at least 1"))

    def optional_integer(self, name: str) -> int | None:
        value = self.take(name)
        return None if value is None else integer(self.file, self.key(name), value)

    def choice(self, name: str, choices: list[str], default: str | None = None) -> str:
        value = self.take(name)
        if value is None and default is not None:
            return default
        if value not in choices:
            raise bad(self.file, self.key(name), value, f"one of {', '.join(choices)}")
        return str(value)

    def texts(self, name: str) -> tuple[str, ...]:
        value = self.take(name)
        if value is None:
            return ()
        if not isinstance(value, list):
            raise bad(self.file, self.key(name), value, "a list of texts")
        return tuple(text(self.file, f"{self.key(name)}[{i}]", v) for i, v in enumerate(value))

    def tables(self, name: str) -> list[Fields]:
        """The tables of an array of tables `[[name]]`; empty where it is absent."""
        value = self.take(name)
        if value is None:
            return []
        if not isinstance(value, list):
            raise bad(self.file, self.key(name), value, f"an array of tables, [[{self.key(name)}]]")
        return [Fields(self.file, f"{self.key(name)}[{i}]", v) for i, v in enumerate(value)]

    def finish(self) -> None:
        """Raises DataError for the first key that was never asked for."""
        for name, value in self._left.items():
            raise bad(self.file, self.key(name), value, f"no such key; known here: {', '.join(self._known)}")
