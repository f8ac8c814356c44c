"""Checks a hardware table against known figures of its processor, and against what any processor can do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from addercost.arithmetic import Arithmetic, OpClass
from addercost.cost.bounds import all_bounds, binding
from addercost.cost.charges import VECTOR_FORMS, best_per_width, one_at_a_time
from addercost.cost.models.latency_sum import latency_cycles
from addercost.cost.sequences import candidate_sequences, site_sequence
from addercost.cost.target import Target, target_of
from addercost.hardware.peaks import Peaks
from addercost.hardware.schema.cpu import Cpu
from addercost.hardware.schema.instruction import Instruction
from addercost.hardware.vocabulary import Form

TOLERANCE = 0.1
"""The largest difference between a table's figure and the known one, as a share of the known one."""

_ABSOLUTE_DIFFERENCES = ("uint8_sad", "uint8_sad_acc", "uint8_absdiff")


@dataclass(frozen=True, slots=True)
class Disagreement:
    """A table's figure and the known one. table: None where the table lacks the figure."""

    figure: str
    table: float | None
    known: float

    def __str__(self) -> str:
        if self.table is None:
            return f"{self.figure} is {self.known:g}, and the table lacks it"
        return f"{self.figure} = {self.table:.4g} by the table, {self.known:g} by other sources"


def disagreements(cpu: Cpu, known: Peaks) -> list[Disagreement]:
    """The figures that differ from the known ones by more than `TOLERANCE`, and those the table lacks."""
    target = target_of(cpu)
    found = []
    for figure, value in known.figures.items():
        of_table = table_figure(target, figure)
        if of_table is None or abs(of_table / value - 1) > TOLERANCE:
            found.append(Disagreement(figure, of_table, value))
    return found


def table_figure(target: Target, figure: str) -> float | None:
    """A figure of `Peaks`, such as `fp32_mac_per_cycle`, computed from the table; None where the table lacks
    it.
    """
    number_format, _, rest = figure.partition("_")
    match rest.split("_"):
        case ["mac", "per", "cycle"]:
            return _multiply_adds(target, number_format, (Form.SCALAR, *VECTOR_FORMS))
        case ["matrix", "mac", "per", "cycle"]:
            return _multiply_adds(target, number_format, (Form.MATRIX,))
        case ["add" | "maddubs", "per", "cycle"]:
            return _results_per_cycle(target, figure.removesuffix("_per_cycle"))
        case ["absdiff", "per", "cycle"]:
            differences = [_results_per_cycle(target, op) for op in _ABSOLUTE_DIFFERENCES]
            return max((rate for rate in differences if rate), default=None)
        case [operation, "latency", "cycles"]:
            row = next(iter(target.rows(f"{number_format}_{operation}")), None)
            return None if row is None else latency_cycles(target, row)
        case ["div", "scalar", "cycles"]:
            return _cycles_each(target.rows(f"{number_format}_div", (Form.SCALAR,)))
        case ["div", bits, "cycles"]:
            rows = target.rows(f"{number_format}_div", VECTOR_FORMS)
            return _cycles_each(tuple(row for row in rows if row.vector_bits == int(bits)))
        case ["bytes", "per", "cycle"] if number_format == "load":
            rows = target.rows("load")
            bytes_each = [
                row.vector_bits / 8 / row.reciprocal_throughput_cycles for row in best_per_width(rows)
            ]
            return max(bytes_each, default=None)
    raise ValueError(figure)


def _multiply_adds(target: Target, number_format: str, forms: tuple[Form, ...]) -> float | None:
    """Multiply-adds a cycle of the fastest sequence on registers of these forms."""
    rates = [
        sequence.sites / binding(all_bounds(target, sequence.executions)).cycles
        for sequence in candidate_sequences(target, Arithmetic.MAC, number_format)
        if all(row.form in forms for row, _ in sequence.executions)
    ]
    return max(rates, default=None)


def _results_per_cycle(target: Target, op: str) -> float | None:
    rows = best_per_width(target.rows(op, (Form.SCALAR, *VECTOR_FORMS)))
    return max((row.lanes / row.reciprocal_throughput_cycles for row in rows), default=None)


def _cycles_each(rows: tuple[Instruction, ...]) -> float | None:
    return rows[0].reciprocal_throughput_cycles if rows else None


def impossible_figures(cpu: Cpu) -> Iterator[str]:
    """Rates that no processor reaches: more than one division or square root of an instruction a cycle."""
    for row in cpu.instructions:
        if row.op.endswith(("_div", "_sqrt")) and row.reciprocal_throughput_cycles < 1:
            yield (
                f"{row.op} ({row.form} {row.vector_bits}) every {row.reciprocal_throughput_cycles:g} cycles: "
                "no divider gives more than one result a cycle"
            )


def warnings_of(cpu: Cpu, peaks: Mapping[str, Peaks]) -> list[str]:
    """The reasons to doubt a table, as sentences."""
    known = peaks.get(cpu.name)
    differing = disagreements(cpu, known) if known else []
    return [*impossible_figures(cpu), *map(str, differing)]


_KINDS_OF_LAYERS = {
    (Arithmetic.MAC, "fp32"): "convolutions and linear layers in fp32",
    (Arithmetic.ADDER, "fp32"): "adder layers in fp32",
    (Arithmetic.MAC, "int8"): "convolutions and linear layers in int8",
    (Arithmetic.ADDER, "uint8"): "adder layers in 8 bits",
    (Arithmetic.XNOR, "bool"): "binary layers",
    (Arithmetic.SHIFT, "int32"): "shift layers",
}
_OPERATIONS = (OpClass.MUL, OpClass.ADD, OpClass.ABS, OpClass.COMPARE, OpClass.DIVIDE, OpClass.SQRT)


def consequences(cpu: Cpu) -> Iterator[str]:
    """One sentence for each figure that the table lacks: what the user cannot get without it."""
    target = target_of(cpu)
    if target.clock_hz is None:
        yield "no clock: estimates are cycles and no seconds, and roofline, eager and fused need --clock"
    if target.memory_bandwidth_bytes_per_s is None:
        yield "no memory bandwidth: roofline, eager and fused need --bandwidth"
    yield from consequences_of_instructions(cpu)


def consequences_of_instructions(cpu: Cpu) -> Iterator[str]:
    """The same sentences for figures of a core's instructions, which hold for every part with that core."""
    target = target_of(cpu)
    if target.issue_width_uops is None:
        yield "no issue width: throughput lets any number of instructions start in a cycle"
    if target.instructions and not any(row.ports for row in target.instructions):
        yield "no ports: throughput takes instructions on like registers to share one pool of units"
    for (arithmetic, number_format), layers in _KINDS_OF_LAYERS.items():
        if site_sequence(target, arithmetic, number_format) is None:
            yield (
                f"no instructions for a site of {layers}: throughput, roofline, eager and fused charge its "
                "operations one by one or give a lower bound, and reports leave its roof out"
            )
    lacking = [
        op for op in _OPERATIONS if one_at_a_time(target, op, "fp32", cpu.preferred_float_form) is None
    ]
    if lacking:
        yield (
            f"no latency of fp32 {', '.join(lacking)}: latency-sum gives a lower bound for networks with it, "
            "and no ratio; --convention macs needs mul and add alone"
        )
    vectors = any(row.form in VECTOR_FORMS for row in target.instructions)
    if target.instructions and not vectors:
        yield "no vector instructions: throughput executes one operation at a time"
