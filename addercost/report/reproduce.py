"""The paper's numbers recomputed: published and computed in separate columns, and a verdict."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from addercost.arithmetic import Arithmetic, OpCounts
from addercost.counts.model import count
from addercost.hardware import Cpu, Form, Instruction
from addercost.report.published import LATENCY_CYCLES, LATENCY_SITES, PUBLISHED_COUNTS
from addercost.report.tables import Column, Kind, Table
from addercost.trace.record import Trace
from addercost.units import parse_quantity

TraceZoo = Callable[[str], Trace]
"""From the name of a zoo model to its trace."""


def reproduces(printed: str, computed: float) -> bool:
    """Whether `computed`, rounded to the digits of `printed` ("41.17M"), is what was printed."""
    value = parse_quantity(printed)
    decimals = len(printed.rstrip("KMG").partition(".")[2])
    unit = parse_quantity("1" + printed[-1]) if printed[-1] in "KMG" else 1.0
    return round(computed / unit, decimals) == round(value / unit, decimals)


def counts_table(trace_zoo: TraceZoo) -> Table:
    """Every network of the paper's tables: #Mul printed, #Mul computed by the closest rule, and a verdict."""
    rows: list[dict[str, Any]] = []
    for entry in PUBLISHED_COUNTS:
        trace = trace_zoo(entry.zoo)
        computed = count(trace, entry.convention).total.by_class()["mul"]
        published = parse_quantity(entry.printed)
        rows.append(
            {
                "network": entry.network,
                "model": f"zoo:{entry.zoo}",
                "convention": entry.convention,
                "published_mul": entry.printed,
                "computed_mul": computed,
                "difference": computed / published - 1,
                "verdict": "reproduces" if reproduces(entry.printed, computed) else "does not reproduce",
                "remark": entry.remark,
            }
        )
    return Table(
        columns=(
            Column("network", "network"),
            Column("model", "model"),
            Column("convention", "convention"),
            Column("published_mul", "published #Mul"),
            Column("computed_mul", "computed", Kind.COUNT),
            Column("difference", "difference", Kind.SHARE),
            Column("verdict", "verdict"),
            Column("remark", "remark", optional=True),
        ),
        rows=rows,
        title="Operation counts of Chen et al., CVPR 2020, tables 1 to 3, and ours",
        notes=(
            "The paper prints #Add = #Mul for a CNN, and #Add = 2·#Mul and no #Mul for its AdderNet, although the "
            "first and the last layer of the CIFAR and ImageNet networks stay convolutions there.",
        ),
    )


def latency_table(trace_zoo: TraceZoo, cpu: Cpu) -> Table:
    """LeNet-5-BN as CNN and as AdderNet on the VIA Nano: the published counts, and the traced model's."""
    rows = [row for way in _ways(trace_zoo) for row in _pair(*way, figures=_x87(cpu))]
    sites = count(trace_zoo("lenet5-bn"), "macs").mac_sites
    for label, figures in _sse(cpu):
        rows += _pair(f"plain MACs, {label}", _mac(sites), _adder(sites), figures=figures, published=False)
    mul, add = _latency(cpu, "fp80_mul", Form.X87), _latency(cpu, "fp80_add", Form.X87)
    sse_mul, sse_add = _latency(cpu, "fp32_mul", Form.SCALAR), _latency(cpu, "fp32_add", Form.SCALAR)
    low, high = sse_add.latency_range_cycles or (0.0, 0.0)
    return Table(
        columns=(
            Column("way", "counted by"),
            Column("network", "network"),
            Column("mul_cycles", "mul", Kind.NUMBER),
            Column("add_cycles", "add", Kind.NUMBER),
            Column("published_cycles", "published"),
            Column("mul", "#mul", Kind.COUNT),
            Column("add", "#add", Kind.COUNT),
            Column("cycles", "computed", Kind.COUNT),
            Column("ratio", "CNN / AdderNet", Kind.RATIO),
        ),
        rows=rows,
        title=f"LeNet-5-BN on the {cpu.title}: the latency-sum model (estimate, in cycles)",
        notes=(
            f"4 and 2 are the x87 figures of the table: {mul.text} {mul.latency_cycles:g}, "
            f"{add.text} {add.latency_cycles:g} cycles. Single-precision SSE is {sse_mul.text} "
            f"{sse_mul.latency_cycles:g} and {sse_add.text} {low:g} to {high:g},",
            f"which shrinks the ratio to between 1.25 and 1.00. Source: {cpu.sources[mul.source].title}.",
            "The ratio is 1.5 for any count if every multiplication becomes an addition: (4 + 2) / (2 + 2).",
            "The thop row converts batch norm and bias too, as the paper's 870K does; the next row leaves them.",
        ),
    )


Pair = tuple[str, OpCounts, OpCounts]


def _mac(n: int) -> OpCounts:
    return OpCounts.of(mul=n, add=n)


def _adder(n: int) -> OpCounts:
    return OpCounts.of(add=2 * n)


def _ways(trace_zoo: TraceZoo) -> Iterator[Pair]:
    trace = trace_zoo("lenet5-bn")
    yield "published counts", _mac(LATENCY_SITES), _adder(LATENCY_SITES)
    thop = count(trace, "thop").total
    units = thop.by_class()["mul"]
    yield "thop rule", thop, _adder(units)
    layers_only = count(trace, "thop", arithmetic=Arithmetic.ADDER).total
    yield "thop rule, layers only", thop, layers_only
    macs = count(trace, "macs").total
    yield "plain MACs", macs, count(trace, "macs", arithmetic=Arithmetic.ADDER).total


def _pair(
    way: str, cnn: OpCounts, adder: OpCounts, figures: tuple[float, float], published: bool = True
) -> list[dict[str, Any]]:
    mul_cycles, add_cycles = figures
    rows = []
    for network, counts in (("CNN", cnn), ("AdderNet", adder)):
        by_class = counts.by_class()
        rows.append(
            {
                "way": way,
                "network": network,
                "mul_cycles": mul_cycles,
                "add_cycles": add_cycles,
                "published_cycles": LATENCY_CYCLES[network] if published else None,
                "mul": by_class["mul"],
                "add": by_class["add"],
                "cycles": by_class["mul"] * mul_cycles + by_class["add"] * add_cycles,
            }
        )
    rows[1]["ratio"] = rows[0]["cycles"] / rows[1]["cycles"]
    return rows


def _latency(cpu: Cpu, op: str, form: Form) -> Instruction:
    return next(row for row in cpu.rows(op, (form,)) if row.latency_cycles is not None)


def _x87(cpu: Cpu) -> tuple[float, float]:
    mul, add = _latency(cpu, "fp80_mul", Form.X87), _latency(cpu, "fp80_add", Form.X87)
    assert mul.latency_cycles is not None and add.latency_cycles is not None
    return mul.latency_cycles, add.latency_cycles


def _sse(cpu: Cpu) -> Iterator[tuple[str, tuple[float, float]]]:
    mul, add = _latency(cpu, "fp32_mul", Form.SCALAR), _latency(cpu, "fp32_add", Form.SCALAR)
    assert mul.latency_cycles is not None and add.latency_range_cycles is not None
    low, high = add.latency_range_cycles
    yield f"SSE, add {low:g}", (mul.latency_cycles, low)
    yield f"SSE, add {high:g}", (mul.latency_cycles, high)
