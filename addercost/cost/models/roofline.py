"""The throughput model with one more bound: the time that a layer's bytes take at the memory's bandwidth. On
a GPU there is another one: the bytes that tiles of matrix products read through the second-level cache.
"""

from __future__ import annotations

from collections.abc import Iterator

from addercost.cost.bounds import Bound, Executions, ThroughputBounds
from addercost.cost.columns import Column
from addercost.cost.cost_model import CostModel, without_rates
from addercost.cost.layers import Moved
from addercost.cost.models import throughput
from addercost.cost.target import Target
from addercost.units import si


def _rule(bounds: ThroughputBounds, executions: Executions, moved: Moved) -> list[Bound]:
    target, compute = bounds.target, throughput.MODEL.rule(bounds, executions, moved)
    if not target.has_memory_rate:
        return compute
    assert target.clock_hz is not None
    found = [*compute, Bound("memory bandwidth", target.memory_cycles(moved.n_bytes))]
    if target.l2_bandwidth_bytes_per_s is not None:
        through_l2 = moved.n_bytes + moved.reread_bytes
        found.append(Bound("L2 bandwidth", through_l2 / target.l2_bandwidth_bytes_per_s * target.clock_hz))
    return found


def _missing(target: Target, executions: Executions, moved: Moved) -> dict[str, Column]:
    return {} if target.has_memory_rate else {"bytes through memory (bandwidth or clock)": moved.n_bytes}


def _assumes(target: Target) -> Iterator[str]:
    yield from throughput.MODEL.assumes(target)
    if target.memory_bandwidth_bytes_per_s is not None:
        if target.shares_memory_bandwidth:
            yield "one core draws the whole part's memory bandwidth"
        yield "every byte read and written goes through memory: nothing stays in a cache between layers"
    if target.l2_bandwidth_bytes_per_s is not None:
        yield f"tiles read operands again from L2, at {si(target.l2_bandwidth_bytes_per_s, 'B/s')}"
    elif target.multiprocessors is not None:
        yield "what tiles read again from L2 takes no time: the table has no bandwidth of L2"


MODEL = CostModel(
    name="roofline",
    description="the larger of `throughput` and its bytes through the memory's bandwidth",
    lowering=throughput.MODEL.lowering,
    rule=_rule,
    needs_memory=True,
    missing=_missing,
    unusable=lambda target: without_rates(target, target.memory_bandwidth_bytes_per_s),
    assumes=_assumes,
    assumes_of=throughput.MODEL.assumes_of,
)
