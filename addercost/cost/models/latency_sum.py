"""The AdderNet paper's rule: every instruction waits for the one before, so that latencies add up."""

from __future__ import annotations

from collections.abc import Iterator

from addercost.cost.bounds import Bound, Executions, ThroughputBounds
from addercost.cost.columns import Column
from addercost.cost.cost_model import CostModel
from addercost.cost.layers import Moved
from addercost.cost.lowering import Lowering
from addercost.cost.target import Target
from addercost.hardware.schema.instruction import Instruction


def latency_cycles(target: Target, row: Instruction) -> float | None:
    """The row's latency; else that of the same instruction in the row of the nearest width; else None."""
    if row.latency_cycles is not None:
        return row.latency_cycles
    alike = [r for r in target.rows(row.op, (row.form,)) if r.latency_cycles is not None]
    return min(alike, key=lambda r: abs(r.vector_bits - row.vector_bits)).latency_cycles if alike else None


def _rule(bounds: ThroughputBounds, executions: Executions, moved: Moved) -> list[Bound]:
    # Whole counts times whole latencies stay whole numbers.
    return [Bound("latency", sum(n * (latency_cycles(bounds.target, row) or 0) for row, n in executions))]


def _missing(target: Target, executions: Executions, moved: Moved) -> dict[str, Column]:
    return {f"the latency of {row.op}": n for row, n in executions if latency_cycles(target, row) is None}


def _assumes(target: Target) -> Iterator[str]:
    if target.working_cores > 1:
        yield "one core alone is busy: every instruction waits for the one before"


def _unusable(target: Target) -> str:
    if target.instructions and all(row.latency_cycles is None for row in target.instructions):
        return f"the table of {target.name} has no latencies: name --cost-model throughput, roofline or eager"
    return ""


MODEL = CostModel(
    name="latency-sum",
    description="Σ count × latency, the paper's rule: every instruction waits for the one before",
    lowering=Lowering.PAPER,
    rule=_rule,
    is_serial=True,
    ranks_targets=True,
    missing=_missing,
    assumes=_assumes,
    unusable=_unusable,
)
