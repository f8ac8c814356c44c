"""The paper's numbers recomputed: published and computed ones in separate columns, with a verdict."""

from __future__ import annotations

from typing import Any

from addercost.analysis.reproduction import (
    RecomputedLatency,
    TraceZoo,
    recomputed_counts,
    recomputed_latencies,
    sse_figures,
    x87_figures,
)
from addercost.arithmetic import OpClass
from addercost.hardware import Cpu
from addercost.report.table import Column, Kind, Table


def counts_table(trace_zoo: TraceZoo) -> Table:
    """A row for every network of the paper's tables: #Mul as printed, #Mul computed by the closest rule, and
    a verdict.
    """
    rows = [
        {
            "network": found.published.network,
            "model": f"zoo:{found.published.zoo}",
            "convention": found.published.convention,
            "published_mul": found.published.printed,
            "computed_mul": found.mul,
            "difference": found.difference_fraction,
            "verdict": "reproduces" if found.reproduces else "does not",
            "remark": found.published.remark,
        }
        for found in recomputed_counts(trace_zoo)
    ]
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
    """LeNet-5-BN as CNN and as AdderNet on the VIA Nano: from the published counts, and from a trace."""
    x87, sse = x87_figures(cpu), sse_figures(cpu)
    rows = [_latency_row(found) for found in recomputed_latencies(trace_zoo, x87, sse)]
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


def _latency_row(found: RecomputedLatency) -> dict[str, Any]:
    verdicts = {True: "reproduces", False: "does not", None: None}
    return {
        "way": found.way,
        "mul_cycles": found.mul_cycles,
        "add_cycles": found.add_cycles,
        "cnn_mul": found.cnn[OpClass.MUL],
        "cnn_add": found.cnn[OpClass.ADD],
        "cnn_cycles": found.cnn_cycles,
        "cnn_published": found.cnn_printed,
        "adder_mul": found.adder[OpClass.MUL],
        "adder_add": found.adder[OpClass.ADD],
        "adder_cycles": found.adder_cycles,
        "adder_published": found.adder_printed,
        "ratio": found.ratio,
        "verdict": verdicts[found.reproduces],
    }
