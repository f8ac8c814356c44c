"""Hardware tables as printed tables: the list of them, the figures of one, and two side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from addercost.cost.accelerator.estimate import doubtful_figures
from addercost.errors import ArgumentError
from addercost.hardware import Accelerator, Cpu, Device, Gpu, Hardware, HardwareFile
from addercost.report.table import Column, Kind, Table
from addercost.report.tables.hardware_figures import figure_rows
from addercost.report.tables.inner_loops import cpu_title, inner_loop_rows


def list_table(files: Sequence[tuple[HardwareFile, Hardware]]) -> Table:
    """One row for each table that can be loaded."""
    columns = (
        Column("kind", "kind"),
        Column("name", "name"),
        Column("title", "title"),
        Column("architecture", "architecture"),
        Column("vector_bits", "vector\nbits", Kind.COUNT, optional=True),
        Column("clock_hz", "clock", Kind.QUANTITY, "Hz"),
        Column("figures", "figures", Kind.COUNT, optional=True),
        Column("quality", "quality", optional=True),
        Column("origin", "origin", optional=True),
    )
    return Table(columns, [_list_row(file, hardware) for file, hardware in files])


def _list_row(file: HardwareFile, hardware: Hardware) -> dict[str, Any]:
    row: dict[str, Any] = {
        "kind": file.kind,
        "name": file.name,
        "title": hardware.title,
        "origin": file.origin,
    }
    figures = list(figure_rows(hardware))
    row["figures"] = len(figures)
    row["quality"] = ", ".join(
        dict.fromkeys(str(figure["quality"]) for figure in figures if figure.get("quality"))
    )
    if isinstance(hardware, Cpu):
        return row | {
            "architecture": hardware.isa,
            "vector_bits": hardware.max_vector_bits,
            "clock_hz": hardware.clock_hz,
        }
    if isinstance(hardware, Gpu):
        return row | {"architecture": hardware.architecture, "clock_hz": hardware.boost_clock_hz}
    if isinstance(hardware, Device):
        return row | {"architecture": hardware.core, "clock_hz": hardware.clock_hz}
    if isinstance(hardware, Accelerator):
        return row | {"architecture": hardware.dataflow, "clock_hz": hardware.clock_hz}
    return row | {"architecture": hardware.technology}


def device_table(files: Sequence[tuple[HardwareFile, Device]]) -> Table:
    """A row for each device: its cores, clock, bandwidths, memories, and which of these are unconfirmed."""
    columns = (
        Column("name", "name"),
        Column("class", "class", optional=True),
        Column("core", "core"),
        Column("cores", "cores", Kind.COUNT),
        Column("clock_hz", "clock", Kind.QUANTITY, "Hz"),
        Column("core_memory_bandwidth_bytes_per_s", "memory,\none core", Kind.QUANTITY, "B/s", optional=True),
        Column("memory_bandwidth_bytes_per_s", "memory,\nall", Kind.QUANTITY, "B/s"),
        Column("last_level_cache_bytes", "last\ncache", Kind.QUANTITY, "B", optional=True),
        Column("sram_bytes", "SRAM", Kind.QUANTITY, "B", optional=True),
        Column("unconfirmed", "unconf.\nfigures"),
        Column("soc", "chip", optional=True),
        Column("further_cores", "further cores", optional=True),
        Column("source", "source", optional=True),
    )
    rows = [
        {column.name: getattr(device, column.name, None) for column in columns}
        | {
            "class": device.device_class,
            "clock_hz": device.clock_hz,
            "source": device.sources[device.source].title,
            "unconfirmed": f"{len(device.unconfirmed)} of {len(device.figures)}"
            if device.unconfirmed
            else "",
        }
        for _, device in files
    ]
    boosted = [device.name for _, device in files if device.boost_clock_hz and not device.sustained_clock_hz]
    notes = [
        "unconfirmed figures are remembered and were not read in a source: `hardware show NAME` marks them",
        "the clock is the sustained one, where that is known",
    ]
    if boosted:
        notes.append(f"the boost clock stands for the sustained one of {', '.join(boosted)}")
    return Table(columns, rows, notes=tuple(notes))


def figures_table(hardware: Hardware) -> Table:
    """Every figure of one table with its unit, quality and source. The notes carry caveats and sources."""
    if isinstance(hardware, Cpu):
        columns: tuple[Column, ...] = (
            Column("op", "op"),
            Column("form", "form"),
            Column("vector_bits", "bits", Kind.COUNT),
            Column("lanes", "lanes", Kind.COUNT, optional=True),
            Column("latency_cycles", "latency\ncycles", Kind.NUMBER),
            Column("latency_low_cycles", "low", Kind.NUMBER, optional=True),
            Column("latency_high_cycles", "high", Kind.NUMBER, optional=True),
            Column("reciprocal_throughput_cycles", "reciprocal\nthroughput\ncycles", Kind.NUMBER),
            Column("ports", "ports", optional=True),
            Column("quality", "quality"),
            Column("source", "source", optional=True),
            Column("instruction", "instruction", Kind.PATH),
        )
    else:
        columns = (
            Column("figure", "figure"),
            Column("value", "value", Kind.NUMBER),
            Column("high", "to", Kind.NUMBER, optional=True),
            Column("unit", "unit"),
            Column("quality", "quality"),
            Column("source", "source"),
        )
    notes = [f"caveat: {caveat}" for caveat in hardware.caveats]
    if isinstance(hardware, Device):
        others = f", further cores: {hardware.further_cores}" if hardware.further_cores else ""
        notes.insert(0, f"{hardware.soc}, class {hardware.device_class}; core: {hardware.core}{others}")
    if isinstance(hardware, Cpu) and hardware.modelled:
        notes.insert(0, str(hardware.modelled))
    if isinstance(hardware, Accelerator):
        notes[:0] = [
            f"{hardware.dataflow}, operands in {hardware.number_format}, sums in "
            f"{hardware.accumulator_format}; elements have the energies and areas of {hardware.energy_table}",
            *doubtful_figures(hardware),
        ]
    if isinstance(hardware, Cpu):
        notes += [f"caveat: {correction}" for correction in hardware.corrections]
        notes += [
            f"{row['arithmetic']} ({row['format']}): {row['instructions']}"
            for row in inner_loop_rows(hardware)
        ]
    notes += [f"[{id_}] {source.title} ({source.licence})" for id_, source in hardware.sources.items()]
    return Table(
        columns,
        list(figure_rows(hardware)),
        title=cpu_title(hardware) if isinstance(hardware, Cpu) else hardware.title,
        notes=tuple(notes),
    )


def diff_table(a: Hardware, b: Hardware) -> Table:
    """The figures in which two tables differ, with the ratio b / a. Raises ArgumentError for unlike kinds."""
    if a.kind != b.kind:
        raise ArgumentError(f"{a.name} is a {a.kind} and {b.name} a {b.kind}", "name two tables of one kind")
    left, right = _comparable(a), _comparable(b)
    rows = []
    for key in dict.fromkeys([*left, *right]):
        one, other = left.get(key), right.get(key)
        ratio = other / one if one is not None and other is not None else None
        if one != other:
            rows.append({"figure": key[0], "unit": key[1], "a": one, "b": other, "ratio": ratio})
    columns = (
        Column("figure", "figure"),
        Column("unit", "unit"),
        Column("a", a.name, Kind.NUMBER),
        Column("b", b.name, Kind.NUMBER),
        Column("ratio", "ratio", Kind.RATIO),
    )
    same = sum(left[key] == right[key] for key in left.keys() & right.keys())
    return Table(
        columns, rows, title=f"{a.title} and {b.title}", notes=(f"{same} figures are the same in both",)
    )


def _comparable(hardware: Hardware) -> dict[tuple[str, str], float]:
    found: dict[tuple[str, str], float] = {}
    for figure in figure_rows(hardware):
        if isinstance(hardware, Cpu):
            where = f"{figure['op']} {figure['form']} {figure['vector_bits']}"
            if figure["latency_cycles"] is not None:
                found.setdefault((f"{where} latency", "cycles"), figure["latency_cycles"])
            throughput = figure["reciprocal_throughput_cycles"]
            found.setdefault((f"{where} reciprocal throughput", "cycles"), throughput)
        elif figure["value"] is not None:
            found.setdefault((str(figure["figure"]), str(figure["unit"])), figure["value"])
    return found
