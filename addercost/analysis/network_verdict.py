"""The verdict on one model: by the paper's rule, a throughput model, timings and energy tables."""

from __future__ import annotations

from dataclasses import dataclass

from addercost.analysis.prediction_gap import PredictionGap
from addercost.cost.verdict import Contest, PredictedRatio
from addercost.results.network_ratio import NetworkRatio


@dataclass(frozen=True, slots=True)
class VerdictRow:
    """The result of one contest. measured: None where nothing was timed; `why_not` has the reason. gap:
    compares the prediction for this machine with the measurement, where both exist for the same number of
    cores. calibrated: the ratio that is predicted from kernels timed here, None without such kernels.
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

    device: the device of the timings; "" where nothing was timed. remarks: sentences on the timings for the
    reader.
    """

    model: str
    device: str
    rows: tuple[VerdictRow, ...]
    remarks: tuple[str, ...] = ()
