"""Reads published timings of models from a CSV file: the model, batch, image size and time."""

from __future__ import annotations

import csv
import difflib
import io
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from addercost.errors import ArgumentError, DataError, unknown_name
from addercost.input_files import read_text

UNITS = {"s": 1.0, "ms": 1e-3, "us": 1e-6}
"""The units of columns with the time of a batch, in seconds."""

RATE = "samples/s"
"""The unit of columns with the number of samples a second."""


@dataclass(frozen=True, slots=True)
class TimingColumns:
    """The names of the columns with a network's name, time, batch and size. batch, size: "" where the file
    has no such column.

    size: pixels along a side of the square image. where: values that other columns must have. Rows with other
    values are left out.
    """

    time: str
    unit: str = "ms"
    model: str = "model"
    batch: str = ""
    size: str = ""
    where: Mapping[str, str] | None = None

    def __post_init__(self) -> None:
        if self.unit != RATE and self.unit not in UNITS:
            raise unknown_name("unit", self.unit, (*UNITS, RATE))


@dataclass(frozen=True, slots=True)
class PublishedTiming:
    """A published timing. seconds: of one forward of the whole batch. size: None for the model's own size."""

    model: str
    seconds: float
    batch: int = 1
    size: int | None = None

    @property
    def label(self) -> str:
        parts = [self.model]
        if self.size is not None:
            parts.append(str(self.size))
        if self.batch > 1:
            parts.append(f"batch {self.batch}")
        return " ".join(parts)


def read_timings(path: Path, columns: TimingColumns) -> tuple[PublishedTiming, ...]:
    """The timings in the order of the file.

    Raises ArgumentError for a column that the file does not have. Raises DataError for a file that cannot be
    read, or a cell that is not a number above 0.
    """
    reader = csv.DictReader(io.StringIO(read_text(path)))
    try:
        names = reader.fieldnames
        if not names:
            raise DataError(f"{path} has no heading", "its first line names the columns")
        wanted = [columns.time, columns.model, columns.batch, columns.size, *(columns.where or ())]
        for name in wanted:
            if name and name not in names:
                raise _no_column(path, name, names)
        found = tuple(_timings(reader, path, columns))
    except csv.Error as error:
        raise DataError(f"{path}, line {reader.reader.line_num}: {error}", "it must be a CSV file") from None
    if not found:
        raise DataError(f"{path} has no row{' that fits --where' if columns.where else ''}", "check the file")
    return found


def _no_column(path: Path, name: str, names: object) -> ArgumentError:
    listed = [str(item) for item in names] if isinstance(names, list | tuple) else []
    near = difflib.get_close_matches(name, listed, n=1)
    return ArgumentError(
        f"{path} has no column {name!r}",
        f"did you mean {near[0]}?" if near else f"its columns: {', '.join(listed[:20])}",
    )


def _timings(reader: csv.DictReader[str], path: Path, columns: TimingColumns) -> Iterator[PublishedTiming]:
    for row in reader:
        if any(row.get(name) != value for name, value in (columns.where or {}).items()):
            continue
        where = f"{path}, line {reader.line_num}"
        model = (row.get(columns.model) or "").strip()
        if not model:
            raise DataError(f"{where}: {columns.model} is empty", "name the model")
        batch = _whole(row, columns.batch, where) if columns.batch else 1
        value = _number(row, columns.time, where)
        seconds = batch / value if columns.unit == RATE else value * UNITS[columns.unit]
        size = _whole(row, columns.size, where) if columns.size else None
        yield PublishedTiming(model, seconds, batch, size)


def _number(row: Mapping[str, str | None], column: str, where: str) -> float:
    text = row.get(column) or ""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value > 0):
        raise DataError(
            f"{where}: {column} = {text!r}: expected a number above 0", "remove the row, or mend it"
        )
    return value


def _whole(row: Mapping[str, str | None], column: str, where: str) -> int:
    value = _number(row, column, where)
    if not value.is_integer():
        raise DataError(
            f"{where}: {column} = {value:g}: expected a whole number", "remove the row, or mend it"
        )
    return int(value)
