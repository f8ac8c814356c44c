"""Timings as plain data: what `report` and `plot` need of a benchmark, whoever made it.

The document, all times in seconds:

    {"schema": "addercost/measurements/1", "model": "lenet5_bn",
     "environment": {"cpu": "…", "threads": "1"},
     "rows": [{"path": "conv1", "arithmetic": "mac", "implementation": "torch conv2d", "dtype": "fp32",
               "samples_s": [1.2e-5, …],
               "predicted": [{"hardware": "…", "model": "throughput", "seconds": 9e-6}]}]}

Samples are kept raw; the median and its interval are derived. A row with a sample that is no positive number
is left out and listed.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from addercost.errors import DataError
from addercost.report.plain import from_plain, to_plain
from addercost.trace.serialize import check_schema

SCHEMA = "addercost/measurements/1"
_FEWEST_FOR_INTERVAL = 6


@dataclass(frozen=True, slots=True)
class PredictedTime:
    """What a cost model said of the same work: an estimate, kept apart from the samples."""

    hardware: str
    model: str
    seconds: float


@dataclass(frozen=True, slots=True)
class MeasuredRow:
    """Timings of one layer, or of the whole model where `path` is empty. samples_s: seconds a run."""

    path: str
    arithmetic: str
    samples_s: tuple[float, ...] = field(metadata={"allow_nan": True})
    implementation: str = ""
    dtype: str = "fp32"
    predicted: tuple[PredictedTime, ...] = ()

    @property
    def label(self) -> str:
        return " ".join(
            part for part in (self.path or "(model)", self.arithmetic, self.implementation) if part
        )

    @property
    def median_s(self) -> float:
        return statistics.median(self.samples_s)

    @property
    def interval_s(self) -> tuple[float, float] | None:
        """The 95 % interval of the median by order statistics, or None with fewer than six samples.

        Ranks: n/2 ∓ 0.98·√n, the normal approximation of the binomial (Conover, Practical Nonparametric
        Statistics, 3.2).
        """
        n = len(self.samples_s)
        if n < _FEWEST_FOR_INTERVAL:
            return None
        ordered = sorted(self.samples_s)
        low = max(math.floor(n / 2 - 0.98 * math.sqrt(n)), 0)
        high = min(math.ceil(n / 2 + 1 + 0.98 * math.sqrt(n)), n) - 1
        return ordered[low], ordered[high]


@dataclass(frozen=True, slots=True)
class Measurements:
    """Timings made in one environment. left_out: rows that could not be used, with the reason."""

    model: str
    environment: Mapping[str, str]
    rows: tuple[MeasuredRow, ...]
    left_out: tuple[str, ...] = ()


def measurements_from_data(data: Any, source: str = "measurements") -> Measurements:
    """Reads the document above. Raises DataError naming `source` and the field."""
    check_schema(data, SCHEMA, source)
    read = from_plain(Measurements, data, source)
    usable, left_out = [], list(read.left_out)
    for row in read.rows:
        bad = sum(not (math.isfinite(sample) and sample > 0) for sample in row.samples_s)
        if bad or not row.samples_s:
            why = f"{bad} of {len(row.samples_s)} samples are no positive number" if bad else "no samples"
            left_out.append(f"{row.label}: {why}")
        else:
            usable.append(row)
    if not usable:
        raise DataError(f"{source} has no usable row", "; ".join(left_out[:3]) or "measure again")
    return replace(read, rows=tuple(usable), left_out=tuple(left_out))


def measurements_to_data(measurements: Measurements) -> dict[str, Any]:
    return {"schema": SCHEMA, **to_plain(measurements)}
