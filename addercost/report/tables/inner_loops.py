"""The inner loop chosen for each arithmetic on a processor, as a table."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from addercost.arithmetic import Arithmetic
from addercost.cost.bounds import ThroughputBounds, binding
from addercost.cost.sequences import SiteSequence, site_sequence
from addercost.cost.target import target_of
from addercost.hardware import Cpu
from addercost.report.table import Column, Kind, Table

SITE_FORMATS = (
    (Arithmetic.MAC, "fp32"),
    (Arithmetic.ADDER, "fp32"),
    (Arithmetic.MAC, "int8"),
    (Arithmetic.ADDER, "uint8"),
    (Arithmetic.XNOR, "bool"),
    (Arithmetic.SHIFT, "int32"),
)
"""The inner loops that `addercost hardware show` spells out."""


def inner_loop_table(cpu: Cpu) -> Table:
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
    return Table(columns, list(inner_loop_rows(cpu)), title=cpu_title(cpu))


def inner_loop_rows(cpu: Cpu) -> Iterator[dict[str, Any]]:
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


def cpu_title(cpu: Cpu) -> str:
    """The table's title, the part that its clock and memory figures describe, and the form it prefers."""
    part = [cpu.part.name] if cpu.part is not None else []
    return ", ".join([cpu.title, *part, f"floating point preferred in the {cpu.preferred_float_form} form"])
