"""The cost engine: from the operations of layers to their cost on one target by one cost model. It costs one
layer, or many layers as arrays.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import reduce

from addercost.cost.bounds import Bound, ThroughputBounds
from addercost.cost.columns import ONE_LAYER, Column, Columns
from addercost.cost.cost_model import CostModel
from addercost.cost.layers import Moved
from addercost.cost.lowering import Lowered, Lowerer, Lowering, Operations
from addercost.cost.target import Target


@dataclass(frozen=True, slots=True)
class Costed:
    """The cost of layers, as columns. bounds: the cycles follow from these. missing: figures that the target
    lacks, and how many operations or bytes were therefore not charged. assumptions: which figures stood in
    for others.
    """

    cycles: Column
    bounds: list[Bound]
    missing: Mapping[str, Column]
    assumptions: Mapping[str, None]


class Engine:
    """Costs layers on `target` by `model`. columns: whether numbers are those of one layer or arrays of
    many.
    """

    def __init__(
        self, target: Target, model: CostModel, lowering: Lowering | None = None, columns: Columns = ONE_LAYER
    ) -> None:
        self._target = target
        self._model = model
        self._lowerer = Lowerer(target, lowering or model.lowering, columns)
        self._columns = columns
        self._bounds = ThroughputBounds(target, columns)

    def lower(self, operations: Operations) -> Lowered:
        return self._lowerer.lower(operations)

    def cost(self, lowered: Lowered, moved: Moved) -> Costed:
        """The cost of layers that all execute the instructions of `lowered` and lack figures for the same
        operations."""
        executions = lowered.executions
        missing = {f"{op_class} ({f})": n for (op_class, f), n in lowered.missing.items()}
        missing |= self._model.missing(self._target, executions, moved)
        assumptions = lowered.assumptions | dict.fromkeys(self._model.assumes_of(executions))
        bounds = self._model.rule(self._bounds, executions, moved)
        each = [bound.cycles for bound in bounds]
        cycles = sum(each) if self._model.adds_up else reduce(self._columns.maximum, each, 0)
        return Costed(cycles, bounds, missing, assumptions)
