"""From a parsed TOML document to a `Cpu`, `Gpu` or `EnergyTable`, validated; the file format is here.

Every file opens with `schema`, `kind` (cpu, gpu or energy) and `title`, and has `[sources.<id>]` tables
with `title` and `licence`; every figure names one of those ids. A CPU's instructions come in
`[[instructions]]` blocks of one source and quality, each with one `table`: see `instruction_rows`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from addercost.errors import DataError
from addercost.hardware.fields import Fields, bad
from addercost.hardware.instruction_rows import instruction_rows
from addercost.hardware.schema import (
    Cpu,
    EnergyFigure,
    EnergyFit,
    EnergyTable,
    Gpu,
    GpuLatency,
    Hardware,
    MemoryEnergy,
    Part,
    Peak,
    Rate,
    RelativeFigure,
    Sequence,
    Source,
)
from addercost.hardware.vocabulary import SCHEMA_VERSION, Form, Quality

T = TypeVar("T")

ISAS = ["x86-64", "aarch64", "arm32", "riscv64"]
QUALITIES = [quality.value for quality in Quality]


def parse_hardware(document: Mapping[str, Any], name: str, file: str) -> Hardware:
    """Validates `document` and builds the table it describes. `name` is the file's stem, `file` is for
    messages.

    Raises DataError naming file, key, value and expectation: for an unknown or missing key, a wrong type, a
    figure that is not a finite positive number, a source id without a `[sources]` entry, another schema
    version.
    """
    top = Fields(file, "", document)
    version = top.require("schema", str(SCHEMA_VERSION))
    if type(version) is not int or version != SCHEMA_VERSION:
        raise bad(file, "schema", version, f"{SCHEMA_VERSION}, the version this program reads")
    kind = top.choice("kind", list(_PARSERS))
    sources = _sources(top)
    hardware = _PARSERS[kind](top, sources, name, file)
    top.finish()
    return hardware


def _sources(top: Fields) -> dict[str, Source]:
    value = top.require("sources", "at least one [sources.<id>] table")
    sources = {}
    for id_, table in Fields(top.file, "sources", value)._left.items():
        entry = Fields(top.file, f"sources.{id_}", table)
        sources[id_] = Source(id_, entry.text("title"), entry.text("licence"), entry.optional_text("url"))
        entry.finish()
    return sources


def _source(fields: Fields, sources: Mapping[str, Source], key: str = "source") -> str:
    id_ = fields.text(key)
    if id_ not in sources:
        raise bad(
            fields.file, fields.key(key), id_, f"the id of a [sources] entry: {', '.join(sources) or 'none'}"
        )
    return id_


def _quality(fields: Fields) -> Quality:
    return Quality(fields.choice("quality", QUALITIES))


def _cpu(top: Fields, sources: dict[str, Source], name: str, file: str) -> Cpu:
    instructions = []
    seen = set()
    for block in top.tables("instructions"):
        for row in instruction_rows(block, _source(block, sources), _quality(block)):
            identity = (row.op, row.form, row.vector_bits, row.quality)
            if identity in seen:
                what = f"{row.op}, {row.form}, {row.vector_bits} bits, {row.quality}"
                raise DataError(f"{file}: {block.where} repeats {what}: expected one row for each")
            seen.add(identity)
            instructions.append(row)
        block.finish()
    part = top.take("part")
    forms = [form.value for form in Form]
    return Cpu(
        name=name,
        title=top.text("title"),
        vendor=top.text("vendor"),
        isa=top.choice("isa", ISAS),
        file=file,
        instructions=tuple(instructions),
        sources=sources,
        preferred_float_form=Form(top.choice("preferred_float_form", forms, default=Form.SCALAR)),
        max_vector_bits=top.optional_integer("max_vector_bits"),
        issue_width_uops=top.optional_integer("issue_width_uops"),
        part=None if part is None else _part(Fields(file, "part", part), sources),
        caveats=top.texts("caveats"),
    )


def _part(fields: Fields, sources: Mapping[str, Source]) -> Part:
    part = Part(
        name=fields.text("name"),
        source=_source(fields, sources),
        quality=_quality(fields),
        base_clock_hz=fields.optional_number("base_clock_hz"),
        boost_clock_hz=fields.optional_number("boost_clock_hz"),
        cores=fields.optional_integer("cores"),
        l1d_bytes_per_core=fields.optional_integer("l1d_bytes_per_core"),
        l2_bytes_per_core=fields.optional_integer("l2_bytes_per_core"),
        last_level_cache_bytes=fields.optional_integer("last_level_cache_bytes"),
        memory_bandwidth_bytes_per_s=fields.optional_number("memory_bandwidth_bytes_per_s"),
        core_memory_bandwidth_bytes_per_s=fields.optional_number("core_memory_bandwidth_bytes_per_s"),
    )
    fields.finish()
    return part


def _gpu(top: Fields, sources: dict[str, Source], name: str, file: str) -> Gpu:
    bandwidth = top.optional_number("memory_bandwidth_bytes_per_s")
    return Gpu(
        name=name,
        title=top.text("title"),
        vendor=top.text("vendor"),
        architecture=top.text("architecture"),
        file=file,
        sources=sources,
        source=_source(top, sources),
        compute_capability=top.optional_text("compute_capability"),
        streaming_multiprocessors=top.optional_integer("streaming_multiprocessors"),
        shading_units=top.optional_integer("shading_units"),
        base_clock_hz=top.optional_number("base_clock_hz"),
        boost_clock_hz=top.optional_number("boost_clock_hz"),
        l2_bytes=top.optional_integer("l2_bytes"),
        memory_bandwidth_bytes_per_s=bandwidth,
        memory_bandwidth_source="" if bandwidth is None else _source(top, sources, "memory_bandwidth_source"),
        peaks=_each(top, "peaks", lambda f: Peak(f.text("op"), f.number("ops_per_s"), _source(f, sources))),
        rates=_each(
            top,
            "rates",
            lambda f: Rate(f.text("op"), f.number("results_per_clock_per_sm"), _source(f, sources)),
        ),
        latencies=_each(
            top,
            "latencies",
            lambda f: GpuLatency(f.text("op"), f.number("latency_cycles"), _source(f, sources)),
        ),
        sequences=_each(
            top,
            "sequences",
            lambda f: Sequence(
                f.text("kernel"),
                f.text("text"),
                f.integer("instructions"),
                f.integer("elements"),
                _source(f, sources),
            ),
        ),
        caveats=top.texts("caveats"),
    )


def _energy(top: Fields, sources: dict[str, Source], name: str, file: str) -> EnergyTable:
    def operation(f: Fields) -> EnergyFigure:
        figure = EnergyFigure(
            op=f.text("op"),
            number_format=f.text("number_format"),
            source=_source(f, sources),
            quality=_quality(f),
            energy_pj=f.optional_number("energy_pj"),
            area_um2=f.optional_number("area_um2"),
            clock_period_ns=f.optional_number("clock_period_ns"),
            note=f.optional_text("note"),
        )
        if figure.energy_pj is None and figure.area_um2 is None:
            raise DataError(f"{file}: {f.where} has no figure: expected energy_pj or area_um2")
        return figure

    def memory(f: Fields) -> MemoryEnergy:
        single = f.optional_number("energy_pj")
        low, high = (single, single) if single else (f.number("energy_low_pj"), f.number("energy_high_pj"))
        if low > high:
            raise bad(file, f.key("energy_low_pj"), low, f"at most energy_high_pj = {high}")
        return MemoryEnergy(
            f.text("memory"), f.integer("access_bits"), low, high, _source(f, sources), _quality(f)
        )

    def fit(f: Fields) -> EnergyFit:
        coefficients = f.require("coefficients_pj", "a list of numbers")
        if not isinstance(coefficients, list) or not all(
            type(c) in (int, float) and c >= 0 for c in coefficients
        ):
            raise bad(file, f.key("coefficients_pj"), coefficients, "a list of numbers, none negative")
        return EnergyFit(f.text("op"), tuple(coefficients), _source(f, sources), _quality(f))

    return EnergyTable(
        name=name,
        title=top.text("title"),
        technology=top.text("technology"),
        file=file,
        sources=sources,
        operations=_each(top, "operations", operation),
        memories=_each(top, "memories", memory),
        fits=_each(top, "fits", fit),
        relative=_each(
            top,
            "relative",
            lambda f: RelativeFigure(
                f.text("claim"),
                f.text("quantity"),
                f.number("saving_low_fraction"),
                f.number("saving_high_fraction"),
                _source(f, sources),
            ),
        ),
        caveats=top.texts("caveats"),
    )


def _each(top: Fields, name: str, build: Callable[[Fields], T]) -> tuple[T, ...]:
    built = []
    for fields in top.tables(name):
        built.append(build(fields))
        fields.finish()
    return tuple(built)


_PARSERS: dict[str, Callable[[Fields, dict[str, Source], str, str], Hardware]] = {
    "cpu": _cpu,
    "gpu": _gpu,
    "energy": _energy,
}
