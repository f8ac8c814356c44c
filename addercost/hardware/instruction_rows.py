"""Reads the `table` of an `[[instructions]]` block: a header of column names with units, then a line for each
instruction.

Columns are separated by blanks, and `-` stands for a figure that the source does not give. The column
`instruction` comes last and reaches to the end of the line. The table is a text inside the TOML for two
reasons: a thousand small TOML values take several milliseconds to read, and people read aligned columns more
easily.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from itertools import repeat
from typing import Any, get_type_hints

from addercost.hardware.schema.instruction import Instruction
from addercost.hardware.vocabulary import INSTRUCTION_OPS, Form, Quality
from addercost.reading import expectation, fits, misfit

REQUIRED = ("op", "form", "vector_bits", "lanes", "reciprocal_throughput_cycles", "instruction")
OPTIONAL = (
    "latency_cycles",
    "latency_low_cycles",
    "latency_high_cycles",
    "reciprocal_throughput_low_cycles",
    "reciprocal_throughput_high_cycles",
    "uops",
    "ports",
)
_FIELDS = {
    name: "instruction" if name == "text" else name
    for name in Instruction.__dataclass_fields__
    if name not in ("quality", "source")
}
"""The column of each field of an instruction, except the two fields that the whole block shares."""

_PORT_GROUP = r"(?:\d+(?:\.\d+)?\*)?[\w.]+(?:\|[\w.]+)*"
_PORTS = re.compile(rf"{_PORT_GROUP}(?:\+{_PORT_GROUP})*")

# A stream of independent instructions can hardly be slower than a chain of dependent ones. Scheduling models
# of narrow vector units have up to 2 x the latency (one result per beat). Above 4 x the columns were probably
# swapped.
_MOST_CYCLES_PER_LATENCY = 4


def instruction_rows(
    table: str, source: str, quality: Quality, file: str, where: str
) -> tuple[Instruction, ...]:
    """The instructions of one block. Raises DataError naming row, column, value and expectation.

    where: the path of the block in the file. In messages the first row below the header is `table[0]`.
    """
    lines = [line for line in table.splitlines() if line.strip()]
    header = _header(lines[0], file, f"{where}.table")
    rows = [line.split(None, len(header) - 1) for line in lines[1:]]
    for index, cells in enumerate(rows):
        if len(cells) < len(header):
            expected = f"{len(header)} columns: {' '.join(header)}"
            raise misfit(file, f"{where}.table[{index}]", lines[index + 1], expected)
    columns = dict(zip(header, zip(*rows, strict=True), strict=False))
    absent = ("-",) * len(rows)
    values = [
        _values(name, columns.get(column, absent), file, f"{where}.table") for name, column in _FIELDS.items()
    ]
    instructions = tuple(map(Instruction, *values, repeat(quality), repeat(source)))
    for index, instruction in enumerate(instructions):
        fault = _contradiction(instruction)
        if fault is not None:
            column, expected = fault
            value = getattr(instruction, column)
            raise misfit(file, f"{where}.table[{index}].{column}", value, expected)
    return instructions


def _header(line: str, file: str, where: str) -> list[str]:
    header = line.split()
    for name in REQUIRED:
        if name not in header:
            raise misfit(file, where, line, f"a header line with the column {name!r}")
    for name in header:
        if name not in REQUIRED and name not in OPTIONAL:
            raise misfit(file, where, name, f"columns among {', '.join(REQUIRED + OPTIONAL)}")
    if len(set(header)) < len(header) or header[-1] != "instruction":
        raise misfit(file, where, line, "each column once and `instruction` last")
    return header


def _values(name: str, cells: Sequence[str], file: str, where: str) -> list[Any]:
    """The values of the cells in the column of one field. Raises DataError."""
    if name == "text":
        return [cell.strip() for cell in cells]
    try:
        found = {cell: _value(name, cell) for cell in set(cells)}
    except _CellError:
        for index, cell in enumerate(cells):
            try:
                _value(name, cell)
            except _CellError as error:
                raise misfit(file, f"{where}[{index}].{name}", cell, str(error)) from None
        raise
    return [found[cell] for cell in cells]


class _CellError(Exception):
    """A cell does not fit its column. The text is what was expected."""


@lru_cache(maxsize=4096)
def _value(name: str, cell: str) -> Any:
    """The value of a cell in the column of a field. It is cached, since most cells repeat earlier ones."""
    if name == "op" and cell not in INSTRUCTION_OPS:
        raise _CellError("an instruction op; addercost.hardware.vocabulary lists them")
    if name == "ports":
        if cell != "-" and not _PORTS.fullmatch(cell):
            raise _CellError("port groups such as P0|P1 or 2*P0+P5, or -")
        return "" if cell == "-" else cell
    hint = _hints()[name]
    value = cell if name in ("op", "form") else _number(cell)
    if not fits(hint, value):
        raise _CellError(expectation(hint, value))
    return Form(cell) if name == "form" else value


@lru_cache(maxsize=1)
def _hints() -> dict[str, Any]:
    return get_type_hints(Instruction, include_extras=True)


def _number(cell: str) -> int | float | str | None:
    """The number in a cell: a whole number as an int, so that sums of cycles stay exact. A text that is no
    number is returned unchanged.
    """
    if cell == "-":
        return None
    if cell.isdecimal() and cell.isascii():
        return int(cell)
    try:
        return float(cell.replace("_", "?"))
    except ValueError:
        return cell


def _contradiction(row: Instruction) -> tuple[str, str] | None:
    """(the first column whose value contradicts the others, what was expected there)."""
    latency, throughput = row.latency_cycles, row.reciprocal_throughput_cycles
    if latency is not None and throughput > _MOST_CYCLES_PER_LATENCY * latency:
        most = f"at most {_MOST_CYCLES_PER_LATENCY} x latency_cycles = {latency}"
        return "reciprocal_throughput_cycles", f"{most}; are the two swapped?"
    for name, figure, low, high in (
        ("latency", latency, row.latency_low_cycles, row.latency_high_cycles),
        (
            "reciprocal_throughput",
            throughput,
            row.reciprocal_throughput_low_cycles,
            row.reciprocal_throughput_high_cycles,
        ),
    ):
        if low is not None and (figure is None or low > figure):
            return f"{name}_low_cycles", f"at most the figure itself, {figure}"
        if high is not None and (figure is None or high < figure):
            return f"{name}_high_cycles", f"at least the figure itself, {figure}"
    return None
