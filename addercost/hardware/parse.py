"""Validates a parsed TOML document and makes a hardware table (`Cpu`, `Gpu`…) of it. The file format is
described here.

Every file opens with `schema`, `kind` (one of `KINDS`) and `title`, and has `[sources.<id>]` tables with
`title` and `licence`; every figure names one of those ids. The other keys are the fields of the class, with
two exceptions. A CPU's instructions are in `[[instructions]]` blocks of one source and quality, each with one
`table` (see `instruction_rows`). A memory's energy may be a single figure, `energy_pj`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from addercost.errors import DataError
from addercost.hardware.instruction_rows import instruction_rows
from addercost.hardware.schema.accelerator import Accelerator
from addercost.hardware.schema.cpu import Cpu, ModelledCore
from addercost.hardware.schema.device import Device
from addercost.hardware.schema.energy import EnergyTable, MemoryEnergy
from addercost.hardware.schema.gpu import Gpu
from addercost.hardware.schema.instruction import Instruction
from addercost.hardware.schema.kinds import Hardware
from addercost.hardware.vocabulary import SCHEMA_VERSION, Quality
from addercost.reading import Positive, Text, Whole, misfit, read_as

Parsed = Hardware | ModelledCore
"""The content of a file. A core that is modelled as another core becomes a table only with the other's
file.
"""

KINDS: dict[str, type[Parsed]] = {
    "cpu": Cpu,
    "core": ModelledCore,
    "device": Device,
    "gpu": Gpu,
    "energy": EnergyTable,
    "accelerator": Accelerator,
}


@dataclass(frozen=True, slots=True)
class _Block:
    source: Text
    quality: Quality
    table: Text


@dataclass(frozen=True, slots=True)
class _Memory:
    memory: Text
    access_bits: Whole
    source: Text
    quality: Quality
    energy_pj: Positive | None = None
    energy_low_pj: Positive | None = None
    energy_high_pj: Positive | None = None


def parse_hardware(document: Mapping[str, Any], name: str, file: str) -> Parsed:
    """Validates `document` and builds the table it describes. `name` is the file's stem, `file` is for
    messages.

    Raises DataError, which names file, key, value and expectation, for an unknown or missing key, a wrong
    type, a figure that is not a finite positive number, a source id without a `[sources]` entry, or another
    schema version.
    """
    content = dict(document)
    kind = _kind(content, file)
    for key in ("name", "file"):
        if key in content:
            raise misfit(file, key, content[key], "no such key: a table is named after its file")
    if kind is Cpu and "modelled" in content:
        raise misfit(file, "modelled", content["modelled"], 'no such key: see kind = "core"')
    # A CPU's instructions and a table's memories have another form than the fields of the class.
    blocks: tuple[_Block, ...] = ()
    memories: tuple[_Memory, ...] = ()
    fixed: dict[str, Any] = {"name": name, "file": file}
    if kind in (Cpu, ModelledCore):
        blocks = read_as(tuple[_Block, ...], content.pop("instructions", []), file, "instructions")
        fixed["instructions"] = ()
    elif kind is EnergyTable:
        memories = read_as(tuple[_Memory, ...], content.pop("memories", []), file, "memories")
    hardware: Parsed = read_as(kind, content | fixed, file)
    if not hardware.sources:
        raise misfit(file, "sources", content["sources"], "at least one [sources.<id>] table")
    if isinstance(hardware, Cpu):
        _require_ranges(hardware)
        hardware = replace(hardware, instructions=_instructions(blocks, file))
    elif isinstance(hardware, ModelledCore):
        hardware = replace(hardware, instructions=_instructions(blocks, file))
    elif isinstance(hardware, Device):
        _require_known_figures(hardware, "unconfirmed", hardware.unconfirmed)
    elif isinstance(hardware, EnergyTable):
        _require_figures(hardware)
        hardware = replace(hardware, memories=_memories(memories, file))
    elif isinstance(hardware, Accelerator):
        _require_consistent(hardware)
        _require_known_figures(hardware, "unconfirmed", hardware.unconfirmed)
        _require_known_figures(hardware, "assumed", hardware.assumed)
    elif (hardware.memory_bandwidth_bytes_per_s is None) != (hardware.memory_bandwidth_source == ""):
        both = "memory_bandwidth_source goes with memory_bandwidth_bytes_per_s: expected both"
        raise DataError(f"{file}: {both}")
    _require_sources(hardware, blocks)
    return hardware


def _kind(content: dict[str, Any], file: str) -> type[Parsed]:
    """The class of the table; takes `schema` and `kind` out of the content."""
    for key, expected in (("schema", str(SCHEMA_VERSION)), ("kind", f"one of {', '.join(KINDS)}")):
        if key not in content:
            raise DataError(f"{file}: {key} is missing: expected {expected}")
    version, kind = content.pop("schema"), content.pop("kind")
    if type(version) is not int or version != SCHEMA_VERSION:
        raise misfit(file, "schema", version, f"{SCHEMA_VERSION}, the version this program reads")
    if not isinstance(kind, str) or kind not in KINDS:
        raise misfit(file, "kind", kind, f"one of {', '.join(KINDS)}")
    return KINDS[kind]


def _instructions(blocks: Iterable[_Block], file: str) -> tuple[Instruction, ...]:
    found: dict[tuple[str, str, int, str], Instruction] = {}
    for index, block in enumerate(blocks):
        where = f"instructions[{index}]"
        for row in instruction_rows(block.table, block.source, block.quality, file, where):
            identity = (row.op, row.form, row.vector_bits, row.quality)
            if identity in found:
                what = f"{row.op}, {row.form}, {row.vector_bits} bits, {row.quality}"
                raise DataError(f"{file}: {where} repeats {what}: expected one row for each")
            found[identity] = row
    return tuple(found.values())


def _require_ranges(cpu: Cpu) -> None:
    for index, loop in enumerate(cpu.loops):
        if not loop.cycles_low <= loop.cycles <= loop.cycles_high:
            expected = f"from cycles_low = {loop.cycles_low} to cycles_high = {loop.cycles_high}"
            raise misfit(cpu.file, f"loops[{index}].cycles", loop.cycles, expected)


def _require_known_figures(table: Device | Accelerator, key: str, names: Iterable[str]) -> None:
    for index, name in enumerate(names):
        if name not in table.figures:
            known = ", ".join(table.figures)
            raise misfit(table.file, f"{key}[{index}]", name, f"a figure of the file: {known}")


def _require_figures(table: EnergyTable) -> None:
    for index, figure in enumerate(table.operations):
        if figure.energy_pj is None and figure.area_um2 is None:
            path = f"operations[{index}]"
            raise DataError(f"{table.file}: {path} has no figure: expected energy_pj or area_um2")


def _require_consistent(table: Accelerator) -> None:
    """Raises DataError unless a vector has one row and keeps its sums, DRAM serves all operands, and no
    operand has two memories of one role.
    """
    if table.structure == "vector":
        if table.rows != 1:
            raise misfit(table.file, "rows", table.rows, "1: a vector's lanes are its columns")
        if table.dataflow != "output-stationary":
            raise misfit(
                table.file, "dataflow", table.dataflow, "output-stationary: the lanes of a vector keep sums"
            )
    if table.number_format.startswith("fp") != table.accumulator_format.startswith("fp"):
        expected = f"of the same kind as number_format = {table.number_format}"
        raise misfit(table.file, "accumulator_format", table.accumulator_format, expected)
    for role in ("register", "buffer", "dram"):
        served = [o for memory in table.memories if memory.role == role for o in memory.operands]
        if len(served) != len(set(served)):
            raise DataError(
                f"{table.file}: two memories of role {role} serve one operand: expected one for each"
            )
        if role == "dram" and len(served) != 3:
            raise DataError(f"{table.file}: no DRAM serves all operands: expected input, filter and output")


def _memories(entries: Iterable[_Memory], file: str) -> tuple[MemoryEnergy, ...]:
    made = []
    for index, entry in enumerate(entries):
        where = f"memories[{index}]"
        low, high = entry.energy_low_pj, entry.energy_high_pj
        if entry.energy_pj is not None:
            if low is not None or high is not None:
                raise DataError(f"{file}: {where} has energy_pj and a range: expected one of the two")
            low = high = entry.energy_pj
        if low is None or high is None:
            expected = "energy_pj, or energy_low_pj and energy_high_pj"
            raise DataError(f"{file}: {where} has no figure: expected {expected}")
        if low > high:
            raise misfit(file, f"{where}.energy_low_pj", low, f"at most energy_high_pj = {high}")
        made.append(MemoryEnergy(entry.memory, entry.access_bits, low, high, entry.source, entry.quality))
    return tuple(made)


def _require_sources(hardware: Parsed, blocks: Iterable[_Block]) -> None:
    """Raises DataError for a source id without a `[sources]` entry."""
    for path, source in _named_sources(hardware, blocks):
        if source not in hardware.sources:
            known = f"the id of a [sources] entry: {', '.join(hardware.sources)}"
            raise misfit(hardware.file, path, source, known)


def _named_sources(hardware: Parsed, blocks: Iterable[_Block]) -> Iterable[tuple[str, str]]:
    """(path in the file, source id) of every place that names a source."""
    lists: dict[str, Iterable[Any]] = {}
    match hardware:
        case Cpu(part=part, calls=calls):
            lists = {"instructions": blocks, "loops": hardware.loops, "efficiencies": hardware.efficiencies}
            if part is not None:
                yield "part.source", part.source
            if calls is not None:
                yield "calls.source", calls.source
        case ModelledCore():
            lists = {"instructions": blocks}
        case Device(source=source):
            yield "source", source
        case Gpu():
            names = ("peaks", "rates", "latencies", "sequences", "efficiencies")
            lists = {name: getattr(hardware, name) for name in names}
            yield "source", hardware.source
            if hardware.memory_bandwidth_source:
                yield "memory_bandwidth_source", hardware.memory_bandwidth_source
        case Accelerator():
            lists = {"memories": hardware.memories}
            yield "source", hardware.source
        case EnergyTable():
            lists = {name: getattr(hardware, name) for name in ("operations", "memories", "fits", "relative")}
    for name, figures in lists.items():
        for index, figure in enumerate(figures):
            yield f"{name}[{index}].source", figure.source
