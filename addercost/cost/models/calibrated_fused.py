"""Seconds of a network that torch.compile compiled, by kernels and compiled networks that were timed on the
machine; see `addercost.cost.calibrated.compiled`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from addercost.cost.cost_model import Kernels, NetworkPrediction
from addercost.cost.models import calibrated
from addercost.cost.target import Target
from addercost.hardware.kernel_times import COMPILED


def _predict(target: Target, layers: Sequence[Kernels]) -> NetworkPrediction:
    from addercost.cost.calibrated.predict import predict

    return predict(replace(target, kernel_mode=COMPILED), layers)


def _unusable(target: Target) -> str:
    return calibrated.unusable(replace(target, kernel_mode=COMPILED))


MODEL = replace(
    calibrated.MODEL,
    name="calibrated-fused",
    description="the same for a network that torch.compile compiled, from networks that were compiled and "
    "timed on this machine",
    predict=_predict,
    unusable=_unusable,
    compiled=True,
)
