"""Recomputes the paper's operation counts and cycles, and compares them with the printed figures."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from addercost.analysis.published import LATENCY_CYCLES, LATENCY_SITES, PUBLISHED_COUNTS, PublishedCount
from addercost.arithmetic import Arithmetic, OpClass, OpCounts
from addercost.cost.target import target_of
from addercost.counts.model import count
from addercost.hardware import Cpu, Form, Instruction
from addercost.trace.record import Trace
from addercost.units import parse_quantity

TraceZoo = Callable[[str], Trace]
"""A function that returns the trace of a zoo model by name."""


def reproduces(printed: str, computed: float) -> bool:
    """Whether `computed`, rounded to as many digits as `printed` has ("41.17M"), equals it."""
    value = parse_quantity(printed)
    decimals = len(printed.rstrip("KMG").partition(".")[2])
    unit = parse_quantity("1" + printed[-1]) if printed[-1] in "KMG" else 1.0
    return round(computed / unit, decimals) == round(value / unit, decimals)


@dataclass(frozen=True, slots=True)
class RecomputedCount:
    """A network of the paper's tables, and the multiplications by the counting rule that comes closest."""

    published: PublishedCount
    mul: int

    @property
    def difference_fraction(self) -> float:
        """(computed - printed) / printed."""
        return self.mul / parse_quantity(self.published.printed) - 1

    @property
    def reproduces(self) -> bool:
        return reproduces(self.published.printed, self.mul)


def recomputed_counts(trace_zoo: TraceZoo) -> Iterator[RecomputedCount]:
    """Every network of the paper's tables."""
    for published in PUBLISHED_COUNTS:
        total = count(trace_zoo(published.zoo), published.convention).total
        yield RecomputedCount(published, total[OpClass.MUL])


@dataclass(frozen=True, slots=True)
class LatencyFigures:
    """Latencies of a multiplication and an addition in one form of instruction, with their source.

    add_range_cycles: the least and the largest latency that the source gives. text: the instructions with
    their cycles.
    """

    mul_cycles: float
    add_cycles: float
    add_range_cycles: tuple[float, float]
    text: str
    source: str


@dataclass(frozen=True, slots=True)
class RecomputedLatency:
    """LeNet-5-BN by the latency sum, as a CNN and as an AdderNet.

    way: how the operations were counted. cnn_printed, adder_printed: the printed figures; None where the
    paper prints none for these latencies.
    """

    way: str
    cnn: OpCounts
    adder: OpCounts
    mul_cycles: float
    add_cycles: float
    cnn_printed: str | None = None
    adder_printed: str | None = None

    @property
    def cnn_cycles(self) -> float:
        return self._cycles(self.cnn)

    @property
    def adder_cycles(self) -> float:
        return self._cycles(self.adder)

    @property
    def ratio(self) -> float:
        """How many times as many cycles the CNN takes as the AdderNet."""
        return self.cnn_cycles / self.adder_cycles

    @property
    def reproduces(self) -> bool | None:
        """Whether both printed figures are reproduced; None where none is printed."""
        if self.cnn_printed is None or self.adder_printed is None:
            return None
        return reproduces(self.cnn_printed, self.cnn_cycles) and reproduces(
            self.adder_printed, self.adder_cycles
        )

    def _cycles(self, counts: OpCounts) -> float:
        return counts[OpClass.MUL] * self.mul_cycles + counts[OpClass.ADD] * self.add_cycles


def x87_figures(cpu: Cpu) -> LatencyFigures:
    """The latencies of x87 instructions, which the paper uses."""
    return _figures(cpu, "fp80_mul", "fp80_add", Form.X87)


def sse_figures(cpu: Cpu) -> LatencyFigures:
    """The latencies of scalar single-precision SSE instructions."""
    return _figures(cpu, "fp32_mul", "fp32_add", Form.SCALAR)


def recomputed_latencies(
    trace_zoo: TraceZoo, x87: LatencyFigures, sse: LatencyFigures
) -> tuple[RecomputedLatency, ...]:
    """LeNet-5-BN counted in several ways: by the paper's x87 latencies, then by those of SSE."""
    trace = trace_zoo("lenet5-bn")
    thop, macs = count(trace, "thop").total, count(trace, "macs").total
    macs_as_adder = _as_adder(trace, "macs")
    paper = OpCounts.of(mul=LATENCY_SITES, add=LATENCY_SITES)

    def printed(way: str, cnn: OpCounts, adder: OpCounts) -> RecomputedLatency:
        figures = x87.mul_cycles, x87.add_cycles
        return RecomputedLatency(way, cnn, adder, *figures, LATENCY_CYCLES["CNN"], LATENCY_CYCLES["AdderNet"])

    return (
        printed("the paper", paper, _all_additions(LATENCY_SITES)),
        printed("thop rule", thop, _all_additions(thop[OpClass.MUL])),
        printed("thop rule, layers only", thop, _as_adder(trace, "thop")),
        printed("plain MACs", macs, macs_as_adder),
        *(
            RecomputedLatency(f"plain MACs, SSE add {add:g}", macs, macs_as_adder, sse.mul_cycles, add)
            for add in sse.add_range_cycles
        ),
    )


def _all_additions(sites: int) -> OpCounts:
    return OpCounts.of(add=2 * sites)


def _as_adder(trace: Trace, convention: str) -> OpCounts:
    return count(trace, convention, arithmetic=Arithmetic.ADDER).total


def _figures(cpu: Cpu, mul_op: str, add_op: str, form: Form) -> LatencyFigures:
    mul, add = _latency(cpu, mul_op, form), _latency(cpu, add_op, form)
    assert mul.latency_cycles is not None and add.latency_cycles is not None
    low, high = add.latency_range_cycles or (add.latency_cycles, add.latency_cycles)
    spread = f"{low:g}" if low == high else f"{low:g} to {high:g}"
    return LatencyFigures(
        mul_cycles=mul.latency_cycles,
        add_cycles=add.latency_cycles,
        add_range_cycles=(low, high),
        text=f"{mul.text.split()[0]} {mul.latency_cycles:g}, {add.text.split()[0]} {spread}",
        source=cpu.sources[mul.source].title,
    )


def _latency(cpu: Cpu, op: str, form: Form) -> Instruction:
    return next(row for row in target_of(cpu).rows(op, (form,)) if row.latency_cycles is not None)
