"""The `table` of one `[[instructions]]` block: a header of column names with units, then one instruction a
line.

Columns are separated by blanks, `-` stands for a figure the source does not give, and `instruction` comes
last and runs to the end of the line. It is a text within the TOML because reading a thousand small TOML
values takes several milliseconds, and a person reads aligned columns better than either.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from addercost.hardware.schema import Instruction
from addercost.hardware.vocabulary import INSTRUCTION_OPS, Quality
from addercost.reading import misfit, read_as

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
_FIELDS = (
    *("text" if name == "instruction" else name for name in (*REQUIRED, *OPTIONAL)),
    "source",
    "quality",
)
_PORT_GROUP = r"(?:\d+(?:\.\d+)?\*)?[\w.]+(?:\|[\w.]+)*"
_PORTS = re.compile(rf"{_PORT_GROUP}(?:\+{_PORT_GROUP})*")

# A stream of independent instructions can hardly be slower than a chain of dependent ones. Scheduling models
# of narrow vector units go to 2 x the latency (one result per beat); beyond 4 x the columns have been
# swapped.
_MOST_CYCLES_PER_LATENCY = 4


@dataclass(frozen=True, slots=True)
class _Rows:
    table: tuple[Instruction, ...]


def instruction_rows(
    table: str, source: str, quality: Quality, file: str, where: str
) -> tuple[Instruction, ...]:
    """The instructions of one block. Raises DataError naming row, column, value and expectation.

    where: the path of the block in the file. In messages the first row below the header is `table[0]`.
    """
    lines = [line for line in table.splitlines() if line.strip()]
    header = _header(lines[0], file, f"{where}.table")
    split = [line.split(None, len(header) - 1) for line in lines[1:]]
    for index, cells in enumerate(split):
        if len(cells) < len(header):
            expected = f"{len(header)} columns: {' '.join(header)}"
            raise misfit(file, f"{where}.table[{index}]", lines[index + 1], expected)
    found = dict(zip(header, zip(*split, strict=True), strict=False))
    columns = [_values(name, found.get(name, ("-",) * len(split))) for name in (*REQUIRED, *OPTIONAL)]
    rows = [
        dict(zip(_FIELDS, (*values, source, quality), strict=True)) for values in zip(*columns, strict=True)
    ]
    instructions = read_as(_Rows, {"table": rows}, file, where).table
    for index, instruction in enumerate(instructions):
        fault = _contradiction(instruction)
        if fault is not None:
            column, expected = fault
            path = f"{where}.table[{index}].{column}"
            raise misfit(file, path, getattr(instruction, column), expected)
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


def _values(name: str, cells: Sequence[str]) -> Iterable[object]:
    """What the cells of a column stand for."""
    if name == "ports":
        return ["" if cell == "-" else cell for cell in cells]
    return cells if name in ("op", "form", "instruction") else map(_number, cells)


@lru_cache(maxsize=4096)
def _number(cell: str) -> int | float | str | None:
    """A whole number as an int, so that sums of cycles stay exact; what is no number as the text it is."""
    if cell == "-":
        return None
    if cell.isdecimal() and cell.isascii():
        return int(cell)
    try:
        return float(cell.replace("_", "?"))
    except ValueError:
        return cell


def _contradiction(row: Instruction) -> tuple[str, str] | None:
    """The first column whose value does not go with the others, and what was expected there."""
    if row.op not in INSTRUCTION_OPS:
        return "op", "an instruction op; addercost.hardware.vocabulary lists them"
    latency, throughput = row.latency_cycles, row.reciprocal_throughput_cycles
    if latency is not None and throughput > _MOST_CYCLES_PER_LATENCY * latency:
        most = f"at most {_MOST_CYCLES_PER_LATENCY} x latency_cycles = {latency}"
        return "reciprocal_throughput_cycles", f"{most}; are the two swapped?"
    if row.ports and not _PORTS.fullmatch(row.ports):
        return "ports", "port groups such as P0|P1 or 2*P0+P5, or -"
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
