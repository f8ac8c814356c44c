"""The paper's numbers recomputed: published and computed in separate columns, and a verdict."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from addercost.arithmetic import Arithmetic, OpClass, OpCounts
from addercost.cost.target import target_of
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
                "verdict": "reproduces" if reproduces(entry.printed, computed) else "does not",
                "remark": entry.remark,
            }
        )
    return Table(
        columns=(
            Column("network", "network"),
            Column("model", "model"),
            Column("convention", "rule"),
            Column("published_mul", "#Mul\npublished"),
            Column("computed_mul", "#Mul\ncomputed", Kind.COUNT),
            Column("difference", "differs", Kind.SHARE),
            Column("verdict", "verdict"),
            Column("remark", "remark", optional=True),
        ),
        rows=rows,
        title="Operation counts of Chen et al., CVPR 2020, tables 1 to 3, and ours",
        notes=(
            "Reproduces: ours, rounded to the digits that the paper prints, is what it prints.",
            "The paper prints #Add = #Mul for a CNN, and #Add = 2·#Mul and no #Mul for its AdderNet, "
            "though the first and the last layer of its CIFAR and ImageNet networks stay convolutions.",
        ),
    )


def latency_table(trace_zoo: TraceZoo, cpu: Cpu) -> Table:
    """LeNet-5-BN as CNN and as AdderNet on the VIA Nano: the published counts, and the traced model's."""
    x87 = _figures(cpu, "fp80_mul", "fp80_add", Form.X87)
    sse = _figures(cpu, "fp32_mul", "fp32_add", Form.SCALAR)
    trace = trace_zoo("lenet5-bn")
    thop, macs = count(trace, "thop").total, count(trace, "macs").total
    low, high = sse.add_range_cycles
    rows = [
        _row("the paper", _mac(LATENCY_SITES), _adder(LATENCY_SITES), x87.cycles, True),
        _row("thop rule", thop, _adder(thop[OpClass.MUL]), x87.cycles, True),
        _row("thop rule, layers only", thop, _as_adder(trace, "thop"), x87.cycles, True),
        _row("plain MACs", macs, _as_adder(trace, "macs"), x87.cycles, True),
        _row(f"plain MACs, SSE add {low:g}", macs, _as_adder(trace, "macs"), (sse.cycles[0], low), False),
        _row(f"plain MACs, SSE add {high:g}", macs, _as_adder(trace, "macs"), (sse.cycles[0], high), False),
    ]
    return Table(
        columns=(
            Column("way", "counted by"),
            Column("mul_cycles", "mul", Kind.NUMBER),
            Column("add_cycles", "add", Kind.NUMBER),
            Column("cnn_mul", "CNN\n#mul", Kind.COUNT, optional=True),
            Column("cnn_add", "CNN\n#add", Kind.COUNT, optional=True),
            Column("adder_mul", "AdderNet\n#mul", Kind.COUNT, optional=True),
            Column("adder_add", "AdderNet\n#add", Kind.COUNT, optional=True),
            Column("cnn_published", "CNN\npublished"),
            Column("cnn_cycles", "CNN\ncomputed", Kind.COUNT),
            Column("adder_published", "AdderNet\npublished"),
            Column("adder_cycles", "AdderNet\ncomputed", Kind.COUNT),
            Column("ratio", "ratio", Kind.RATIO),
            Column("verdict", "verdict"),
        ),
        rows=rows,
        title=f"LeNet-5-BN on the {cpu.title}, latency-sum model: estimates in cycles",
        notes=(
            f"mul and add: cycles each. 4 and 2 are x87 figures ({x87.text}); single-precision SSE is "
            f"{sse.text}, which makes the ratio {rows[-2]['ratio']:.2f} to {rows[-1]['ratio']:.2f}. "
            f"Source: {x87.source}.",
            "ratio: CNN by AdderNet. It is (4 + 2) / (2 + 2) for any count if every multiplication becomes "
            "an addition. The thop row converts batch norm and bias, as the paper does (870K); the next row "
            "leaves them as they are.",
        ),
    )


@dataclass(frozen=True, slots=True)
class _Figures:
    """Latencies of a multiplication and an addition in one form, and how the table names them."""

    cycles: tuple[float, float]
    add_range_cycles: tuple[float, float]
    text: str
    source: str


def _figures(cpu: Cpu, mul_op: str, add_op: str, form: Form) -> _Figures:
    mul, add = _latency(cpu, mul_op, form), _latency(cpu, add_op, form)
    assert mul.latency_cycles is not None and add.latency_cycles is not None
    low, high = add.latency_range_cycles or (add.latency_cycles, add.latency_cycles)
    spread = f"{low:g}" if low == high else f"{low:g} to {high:g}"
    return _Figures(
        cycles=(mul.latency_cycles, add.latency_cycles),
        add_range_cycles=(low, high),
        text=f"{mul.text.split()[0]} {mul.latency_cycles:g}, {add.text.split()[0]} {spread}",
        source=cpu.sources[mul.source].title,
    )


def _mac(n: int) -> OpCounts:
    return OpCounts.of(mul=n, add=n)


def _adder(n: int) -> OpCounts:
    return OpCounts.of(add=2 * n)


def _as_adder(trace: Trace, convention: str) -> OpCounts:
    return count(trace, convention, arithmetic=Arithmetic.ADDER).total


def _row(
    way: str, cnn: OpCounts, adder: OpCounts, figures: tuple[float, float], published: bool
) -> dict[str, Any]:
    mul_cycles, add_cycles = figures
    row: dict[str, Any] = {"way": way, "mul_cycles": mul_cycles, "add_cycles": add_cycles}
    agrees = True
    for key, network, counts in (("cnn", "CNN", cnn), ("adder", "AdderNet", adder)):
        cycles = counts[OpClass.MUL] * mul_cycles + counts[OpClass.ADD] * add_cycles
        printed = LATENCY_CYCLES[network] if published else None
        row |= {
            f"{key}_mul": counts[OpClass.MUL],
            f"{key}_add": counts[OpClass.ADD],
            f"{key}_cycles": cycles,
            f"{key}_published": printed,
        }
        agrees = agrees and printed is not None and reproduces(printed, cycles)
    row["ratio"] = row["cnn_cycles"] / row["adder_cycles"]
    row["verdict"] = ("reproduces" if agrees else "does not") if published else None
    return row


def _latency(cpu: Cpu, op: str, form: Form) -> Instruction:
    return next(row for row in target_of(cpu).rows(op, (form,)) if row.latency_cycles is not None)
