"""A table of the kind `accelerator`: an array of elements and the memories that feed it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Literal, NamedTuple

from addercost.hardware.schema.figures import Citation
from addercost.hardware.vocabulary import Quality
from addercost.reading import Limits, Positive, Text, Whole

Side = Annotated[int, Limits(least=1, below=65_537)]
Operand = Literal["input", "filter", "output"]
OperandFormat = Literal["int8", "int16", "fp16", "fp32"]
SumFormat = Literal["int8", "int16", "int32", "fp16", "fp32"]
Dataflow = Literal["weight-stationary", "output-stationary", "input-stationary"]


@dataclass(frozen=True, slots=True)
class AcceleratorMemory:
    """One level of memory of an accelerator, and the operands that it serves.

    role: a `register` is in every element and serves each site, a `buffer` feeds the array, and `dram` has
    all data. size_bytes and bytes_per_cycle are None where no limit is known; their source is the table's.
    source and quality are those of the energy.
    """

    memory: Text
    role: Literal["register", "buffer", "dram"]
    operands: tuple[Operand, ...]
    energy_pj_per_byte: Annotated[float, Limits(above=0, below=1e6)]
    source: Text
    quality: Quality
    size_bytes: Whole | None = None
    bytes_per_cycle: Positive | None = None


class DesignFigure(NamedTuple):
    """A figure of an accelerator in words. value: None for a figure that is no number."""

    words: str
    value: float | None = None
    unit: str = ""


@dataclass(frozen=True)
class Accelerator:
    """An array of elements, each of which computes one site a cycle, and the memories that feed it.

    structure: a `systolic` array of rows × columns, or a `vector` of `columns` lanes with one row.
    number_format, accumulator_format: those of operands and of sums. energy_table: the table with the
    elements' energies and areas. source: that of all `figures`, with two exceptions: unconfirmed figures were
    written from memory and not read in a source, and assumed figures have no source.
    """

    name: str
    title: Text
    file: str
    structure: Literal["systolic", "vector"]
    rows: Side
    columns: Side
    dataflow: Dataflow
    number_format: OperandFormat
    accumulator_format: SumFormat
    clock_hz: Annotated[float, Limits(above=0, below=1e11)]
    energy_table: Text
    memories: tuple[AcceleratorMemory, ...]
    sources: Mapping[str, Citation] = field(hash=False)
    source: Text
    unconfirmed: tuple[Text, ...] = ()
    assumed: tuple[Text, ...] = ()
    caveats: tuple[Text, ...] = ()

    @property
    def kind(self) -> str:
        return "accelerator"

    @property
    def figures(self) -> dict[str, DesignFigure]:
        """The figures that the design decides, by the names that `unconfirmed` and `assumed` use."""
        found = {
            "rows": DesignFigure("rows", self.rows, "elements"),
            "columns": DesignFigure("columns", self.columns, "elements"),
            "dataflow": DesignFigure("dataflow"),
            "number_format": DesignFigure("number format"),
            "clock_hz": DesignFigure("clock", self.clock_hz, "Hz"),
        }
        for memory in self.memories:
            name = memory.memory
            for key, words, value, unit in (
                ("size_bytes", "size", memory.size_bytes, "B"),
                ("bytes_per_cycle", "bytes a cycle", memory.bytes_per_cycle, "B/cycle"),
            ):
                if value is not None:
                    found[f"{name} {key}"] = DesignFigure(f"{words} of {name}", value, unit)
        return found

    def in_words(self, names: tuple[str, ...]) -> str:
        """The figures with these names, as a list in words."""
        return ", ".join(self.figures[name].words for name in names)
