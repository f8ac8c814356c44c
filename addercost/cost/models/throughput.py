"""Independent instructions on vectors, which wait for nothing but the units that execute them."""

from __future__ import annotations

from collections.abc import Iterator

from addercost.cost.bounds import Bound, Executions, ThroughputBounds
from addercost.cost.cost_model import CostModel
from addercost.cost.layers import Moved
from addercost.cost.lowering import Lowering
from addercost.cost.shared_layers import assumes_sharing, shared
from addercost.cost.target import Target


def _rule(bounds: ThroughputBounds, executions: Executions, moved: Moved) -> list[Bound]:
    nothing, *others = bounds(executions)
    in_waves = [nothing, *(Bound(bound.name, bound.cycles * moved.waves) for bound in others)]
    return shared(in_waves, bounds.target, bounds.columns)


def _assumes(target: Target) -> Iterator[str]:
    if target.issue_width_uops is None:
        yield "the issue width is unknown and does not bind"
    if target.multiprocessors is not None:
        yield "matrix products are computed in whole tiles and whole waves, in the sizes that lose least"
    yield from assumes_sharing(target)


def _assumes_of(executions: Executions) -> Iterator[str]:
    # An instruction that is the only one shares its units with no other.
    if sum(not row.ports for row, _ in executions) > 1:
        yield "ports of some instructions are unknown: those on like registers share one pool of units"


MODEL = CostModel(
    name="throughput",
    description="the largest of its named limits (issue, ports, each instruction's rate) on vectors: "
    "nothing waits",
    lowering=Lowering.SIMD,
    rule=_rule,
    ranks_targets=True,
    assumes=_assumes,
    assumes_of=_assumes_of,
)
