"""Seconds by kernels that were timed on the machine, with intervals; see `addercost.cost.calibrated`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from addercost.cost.bounds import Bound, Executions, ThroughputBounds
from addercost.cost.columns import Column
from addercost.cost.cost_model import CostModel, Kernels, NetworkPrediction
from addercost.cost.layers import Moved
from addercost.cost.lowering import Lowering
from addercost.cost.target import Target


def _predict(target: Target, layers: Sequence[Kernels]) -> NetworkPrediction:
    from addercost.cost.calibrated.predict import predict

    return predict(target, layers)


def unusable(target: Target) -> str:
    if not target.kernel_files:
        return f"no kernels were timed on {target.name}: run `addercost calibrate --kernels`, name --cpu host"
    from addercost.cost.calibrated.tables import why_unusable

    return why_unusable(target)


def _no_bounds(bounds: ThroughputBounds, executions: Executions, moved: Moved) -> list[Bound]:
    return []


def _missing(target: Target, executions: Executions, moved: Moved) -> Mapping[str, Column]:
    return {"times of its kernels": 1}


MODEL = CostModel(
    name="calibrated",
    description="as long as its kernels, predicted from those that were timed on this machine, "
    "with an interval for nine of ten",
    lowering=Lowering.SIMD,
    rule=_no_bounds,
    needs_memory=True,
    missing=_missing,
    predict=_predict,
    unusable=unusable,
)
