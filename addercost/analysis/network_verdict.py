"""The verdict on one model: by the paper's rule, a throughput model, timings and energy tables."""

from __future__ import annotations

from dataclasses import dataclass

from addercost.analysis.prediction_gap import PredictionGap
from addercost.cost.verdict import Contest, PredictedRatio
from addercost.results.network_ratio import NetworkRatio


@dataclass(frozen=True, slots=True)
class VerdictRow:
    """One contest. measured: None where nothing was timed, for the reason in `why_not`. gap: the prediction
    for this machine against the measurement, where there are both for the same cores. calibrated: the ratio
    by kernels that were timed here, None where there are none.
    """

    contest: Contest
    paper: PredictedRatio
    here: PredictedRatio | None
    measured: NetworkRatio | None
    energies: tuple[PredictedRatio, ...]
    why_not: str = ""
    gap: PredictionGap | None = None
    calibrated: PredictedRatio | None = None


@dataclass(frozen=True, slots=True)
class NetworkVerdict:
    """All contests of one model.

    device: what was timed on; "" where nothing was. remarks: what a reader should know of the timing.
    """

    model: str
    device: str
    rows: tuple[VerdictRow, ...]
    remarks: tuple[str, ...] = ()
