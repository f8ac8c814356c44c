"""Hardware tables as printed tables: the list, one table's figures, its inner loops, and two side by side."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from addercost.arithmetic import Arithmetic
from addercost.cost.bounds import ThroughputBounds, binding
from addercost.cost.sequences import SiteSequence, site_sequence
from addercost.cost.target import target_of
from addercost.errors import ArgumentError
from addercost.hardware import Cpu, EnergyTable, Gpu, Hardware, HardwareFile
from addercost.report.tables import Column, Kind, Table

SITE_FORMATS = (
    (Arithmetic.MAC, "fp32"),
    (Arithmetic.ADDER, "fp32"),
    (Arithmetic.MAC, "int8"),
    (Arithmetic.ADDER, "uint8"),
    (Arithmetic.XNOR, "bool"),
    (Arithmetic.SHIFT, "int32"),
)
"""The inner loops `hardware show` spells out."""


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
    figures = list(_figures(hardware))
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
    return row | {"architecture": hardware.technology}


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
    if isinstance(hardware, Cpu):
        notes += [
            f"{row['arithmetic']} ({row['format']}): {row['instructions']}" for row in _site_rows(hardware)
        ]
    notes += [f"[{id_}] {source.title} ({source.licence})" for id_, source in hardware.sources.items()]
    return Table(columns, list(_figures(hardware)), title=_title(hardware), notes=tuple(notes))


def sites_table(cpu: Cpu) -> Table:
    """The instruction sequence chosen for one inner-loop step of each arithmetic, and what limits it."""
    columns = (
        Column("arithmetic", "arithmetic"),
        Column("format", "format"),
        Column("way", "way"),
        Column("instructions", "instructions"),
        Column("sites", "sites", Kind.COUNT),
        Column("cycles", "cycles", Kind.NUMBER),
        Column("sites_per_cycle", "sites\nper cycle", Kind.NUMBER),
        Column("bound", "bound"),
        Column("assumption", "assumes", optional=True),
    )
    return Table(columns, list(_site_rows(cpu)), title=_title(cpu))


def _site_rows(cpu: Cpu) -> Iterator[dict[str, Any]]:
    target = target_of(cpu)
    bounds = ThroughputBounds(target)
    for arithmetic, number_format in SITE_FORMATS:
        sequence = site_sequence(target, arithmetic, number_format)
        row: dict[str, Any] = {"arithmetic": arithmetic.value, "format": number_format}
        if sequence is None:
            yield row | {"way": "no figures", "instructions": "the table lacks figures for it"}
        else:
            yield row | _sequence_cells(sequence, bounds)


def _sequence_cells(sequence: SiteSequence, bounds: ThroughputBounds) -> dict[str, Any]:
    bound = binding(bounds([(step.instruction, step.times) for step in sequence.steps]))
    return {
        "way": sequence.name,
        "instructions": sequence.text,
        "sites": sequence.sites,
        "cycles": bound.cycles,
        "sites_per_cycle": sequence.sites / bound.cycles,
        "bound": bound.name,
        "assumption": sequence.assumption,
    }


def diff_table(a: Hardware, b: Hardware) -> Table:
    """The figures in which two tables differ, with b over a. Raises ArgumentError for unlike kinds."""
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
    for figure in _figures(hardware):
        if isinstance(hardware, Cpu):
            where = f"{figure['op']} {figure['form']} {figure['vector_bits']}"
            if figure["latency_cycles"] is not None:
                found.setdefault((f"{where} latency", "cycles"), figure["latency_cycles"])
            throughput = figure["reciprocal_throughput_cycles"]
            found.setdefault((f"{where} reciprocal throughput", "cycles"), throughput)
        elif figure["value"] is not None:
            found.setdefault((str(figure["figure"]), str(figure["unit"])), figure["value"])
    return found


def _title(hardware: Hardware) -> str:
    parts = [hardware.title]
    if isinstance(hardware, Cpu):
        if hardware.part is not None:
            parts.append(hardware.part.name)
        parts.append(f"floating point preferred in the {hardware.preferred_float_form} form")
    return ", ".join(parts)


def _figures(hardware: Hardware) -> Iterator[Mapping[str, Any]]:
    if isinstance(hardware, Cpu):
        for row in hardware.instructions:
            yield {
                "op": row.op,
                "form": row.form.value,
                "vector_bits": row.vector_bits,
                "lanes": row.lanes,
                "latency_cycles": row.latency_cycles,
                "latency_low_cycles": row.latency_low_cycles,
                "latency_high_cycles": row.latency_high_cycles,
                "reciprocal_throughput_cycles": row.reciprocal_throughput_cycles,
                "ports": row.ports,
                "quality": row.quality.value,
                "source": row.source,
                "instruction": row.text,
            }
    elif isinstance(hardware, Gpu):
        yield from _gpu_figures(hardware)
    else:
        yield from _energy_figures(hardware)


def _gpu_figures(gpu: Gpu) -> Iterator[Mapping[str, Any]]:
    def figure(name: str, value: float | None, unit: str, source: str) -> dict[str, Any]:
        return {"figure": name, "value": value, "unit": unit, "quality": "published", "source": source}

    yield figure("memory bandwidth", gpu.memory_bandwidth_bytes_per_s, "B/s", gpu.memory_bandwidth_source)
    for name, value, unit in (
        ("streaming multiprocessors", gpu.streaming_multiprocessors, ""),
        ("shading units", gpu.shading_units, ""),
        ("boost clock", gpu.boost_clock_hz, "Hz"),
        ("second-level cache", gpu.l2_bytes, "B"),
    ):
        if value is not None:
            yield figure(name, value, unit, gpu.source)
    for peak in gpu.peaks:
        yield figure(f"peak {peak.op}", peak.ops_per_s, "op/s", peak.source)
    for rate in gpu.rates:
        yield figure(f"{rate.op} rate", rate.results_per_clock_per_sm, "results/clock/SM", rate.source)
    for latency in gpu.latencies:
        yield figure(f"{latency.op} latency", latency.latency_cycles, "cycles", latency.source)
    for s in gpu.sequences:
        yield figure(f"{s.kernel}: {s.text}", s.instructions / s.elements, "instructions/element", s.source)


def _energy_figures(table: EnergyTable) -> Iterator[Mapping[str, Any]]:
    for op in table.operations:
        period = f", {op.clock_period_ns:g} ns" if op.clock_period_ns else ""
        name = f"{op.op} {op.number_format}{period}"
        common = {"quality": op.quality.value, "source": op.source}
        if op.energy_pj is not None:
            yield {"figure": name, "value": op.energy_pj, "unit": "pJ"} | common
        if op.area_um2 is not None:
            yield {"figure": name, "value": op.area_um2, "unit": "µm²"} | common
    for fit in table.fits:
        for power, coefficient in enumerate(fit.coefficients_pj):
            if coefficient:
                yield {
                    "figure": f"{fit.op} intN, factor of N^{power}",
                    "value": coefficient,
                    "unit": "pJ",
                    "quality": fit.quality.value,
                    "source": fit.source,
                }
    for memory in table.memories:
        high = memory.energy_high_pj if memory.energy_high_pj != memory.energy_low_pj else None
        yield {
            "figure": f"{memory.memory} access",
            "value": memory.energy_low_pj,
            "high": high,
            "unit": f"pJ per {memory.access_bits} bits" if memory.access_bits > 1 else "pJ per bit",
            "quality": memory.quality.value,
            "source": memory.source,
        }
    for claim in table.relative:
        yield {
            "figure": f"{claim.claim}: {claim.quantity} saved",
            "value": 100 * claim.saving_low_fraction,
            "high": 100 * claim.saving_high_fraction,
            "unit": "%",
            "quality": "published",
            "source": claim.source,
        }
