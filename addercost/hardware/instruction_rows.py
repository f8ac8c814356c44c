"""The `table` of one `[[instructions]]` block: a header of column names with units, then one instruction a
line.

Columns are separated by blanks, `-` stands for a figure the source does not give, and `instruction` comes
last and runs to the end of the line. It is a text within the TOML because reading a thousand small TOML
values takes several milliseconds, and a person reads aligned columns better than either.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator

from addercost.errors import DataError
from addercost.hardware.fields import Fields, bad
from addercost.hardware.schema import Instruction
from addercost.hardware.vocabulary import INSTRUCTION_OPS, Form, Quality

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
_FORMS = {form.value: form for form in Form}
_PORT_GROUP = r"(?:\d+(?:\.\d+)?\*)?[\w.]+(?:\|[\w.]+)*"
_PORTS = re.compile(rf"{_PORT_GROUP}(?:\+{_PORT_GROUP})*")

# A stream of independent instructions can hardly be slower than a chain of dependent ones. Scheduling models
# of narrow vector units go to 2 x the latency (one result per beat); beyond 4 x the columns have been
# swapped.
_MOST_CYCLES_PER_LATENCY = 4
_MOST_CYCLES = 1e6


def instruction_rows(block: Fields, source: str, quality: Quality) -> Iterator[Instruction]:
    """The instructions of one block. Raises DataError naming line, column, value and expectation."""
    lines = block.text("table").splitlines()
    header = lines[0].split()
    for name in REQUIRED:
        if name not in header:
            raise bad(block.file, block.key("table"), lines[0], f"a header line with the column {name!r}")
    for name in header:
        if name not in REQUIRED and name not in OPTIONAL:
            raise bad(block.file, block.key("table"), name, f"columns among {', '.join(REQUIRED + OPTIONAL)}")
    if len(set(header)) < len(header) or header[-1] != "instruction":
        raise bad(block.file, block.key("table"), lines[0], "each column once and `instruction` last")
    for i, line in enumerate(lines[1:], start=1):
        cells = line.split(None, len(header) - 1)
        where = f"{block.key('table')} line {i}"
        if not cells:
            continue
        if len(cells) < len(header):
            raise bad(block.file, where, line, f"{len(header)} columns: {' '.join(header)}")
        yield _Row(block.file, where, dict(zip(header, cells, strict=True))).instruction(source, quality)


class _Row:
    def __init__(self, file: str, where: str, cells: dict[str, str]) -> None:
        self.file = file
        self.where = where
        self.cells = cells

    def bad(self, column: str, expected: str) -> DataError:
        return bad(self.file, f"{self.where}, {column}", self.cells[column], expected)

    def cycles(self, column: str) -> float | None:
        """A whole number stays an int, so that sums of cycles stay exact."""
        cell = self.cells.get(column, "-")
        if cell == "-":
            return None
        if cell.isdecimal() and cell.isascii():
            value: float = int(cell)
        else:
            try:
                value = float(cell.replace("_", "?"))
            except ValueError:
                raise self.bad(column, "a number of cycles") from None
        if not 0 < value < _MOST_CYCLES:
            finite = math.isfinite(value)
            raise self.bad(column, "cycles above 0 and below a million" if finite else "a finite number")
        return value

    def integer(self, column: str) -> int:
        cell = self.cells[column]
        if not (cell.isdecimal() and cell.isascii() and 0 < int(cell) < _MOST_CYCLES):
            raise self.bad(column, "a whole number of at least 1")
        return int(cell)

    def instruction(self, source: str, quality: Quality) -> Instruction:
        cells = self.cells
        if cells["op"] not in INSTRUCTION_OPS:
            raise self.bad("op", "an instruction op; addercost.hardware.vocabulary lists them")
        form = _FORMS.get(cells["form"])
        if form is None:
            raise self.bad("form", f"one of {', '.join(Form)}")
        throughput = self.cycles("reciprocal_throughput_cycles")
        if throughput is None:
            raise self.bad("reciprocal_throughput_cycles", "a number of cycles")
        latency = self.cycles("latency_cycles")
        if latency is not None and throughput > _MOST_CYCLES_PER_LATENCY * latency:
            expected = (
                f"at most {_MOST_CYCLES_PER_LATENCY} x latency_cycles = {latency}; are the two swapped?"
            )
            raise self.bad("reciprocal_throughput_cycles", expected)
        ports = cells.get("ports", "-")
        if ports != "-" and not _PORTS.fullmatch(ports):
            raise self.bad("ports", "port groups such as P0|P1 or 2*P0+P5, or -")
        return Instruction(
            cells["op"],
            form,
            self.integer("vector_bits"),
            self.integer("lanes"),
            cells["instruction"].strip(),
            latency,
            self.bound("latency_low_cycles", latency, -1),
            self.bound("latency_high_cycles", latency, +1),
            throughput,
            self.bound("reciprocal_throughput_low_cycles", throughput, -1),
            self.bound("reciprocal_throughput_high_cycles", throughput, +1),
            None if cells.get("uops", "-") == "-" else self.integer("uops"),
            "" if ports == "-" else ports,
            quality,
            source,
        )

    def bound(self, column: str, figure: float | None, side: int) -> float | None:
        """One end of the range around `figure`; None where the source gives no range."""
        if column not in self.cells:
            return None
        value = self.cycles(column)
        if value is not None and (figure is None or (value - figure) * side < 0):
            raise self.bad(column, f"{'at least' if side > 0 else 'at most'} the figure itself, {figure}")
        return value
