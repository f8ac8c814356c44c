"""Timings as plain data, and their JSON document. `bench` makes them; `report` and `plot` read them, also
from other benchmarks.

The document has all times in seconds. Fields of a row after `samples_s` may be left out:

    {"schema": "addercost/measurements/1", "model": "lenet5_bn",
     "environment": {"cpu": "…", "threads": "1"},
     "rows": [{"path": "conv1", "arithmetic": "mac", "implementation": "torch conv2d", "dtype": "fp32",
               "samples_s": [1.2e-5, …],
               "predicted": [{"hardware": "…", "model": "throughput", "seconds": 9e-6}]}]}

Samples are kept raw, in order of time. Medians, intervals and ratios are computed from them. A row with a
sample that is not a positive number is left out and listed.
"""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from addercost.errors import DataError
from addercost.reading import AnyNumber, Count, NotNegative, Positive, Size, misfit, read_as
from addercost.results.document import Document, checked_fields
from addercost.results.intervals import half_width, interleaved_ratio, median_interval
from addercost.results.plain import to_plain
from addercost.text import harmless_json

SCHEMA = "addercost/measurements/1"
NO_ESTIMATES = "no estimates beside the timings"
"""The first words of the note that gives the reason."""


@dataclass(frozen=True, slots=True)
class PredictedTime:
    """The estimate of a cost model for the same work, separate from the samples. low_s, high_s: the model
    expects nine of ten such times between these; None where it gives no interval.
    """

    hardware: str
    model: str
    seconds: NotNegative
    low_s: NotNegative | None = None
    high_s: NotNegative | None = None


@dataclass(frozen=True, slots=True)
class MeasuredKernel:
    """A kernel that the row's call runs on the device."""

    name: str
    seconds: NotNegative
    launches: NotNegative = 1


@dataclass(frozen=True, slots=True)
class MeasuredRow:
    """Timings of one layer, or of the whole model where `path` is empty. samples_s: seconds of a run.

    paths: every layer of this shape. positions: their positions among the timed layers of the model. case:
    the shape in the form of `bench --conv`. cache: "warm" or "cold". sites: the number of pairs of input and
    weight. bytes_moved: each operand once. limit: the name of the arithmetic's limit. limit_sites_per_s: the
    rate of that limit, measured beside the row. reference: the implementation that was timed in turn with it,
    A B B A; reference_samples_s are in the same order as samples_s. converged: whether the intervals reached
    the chosen precision. includes: the steps of a run, in words. speed_factor: how many times as long a fixed
    piece of work beside the samples took as at the machine's best known speed.
    """

    path: str
    arithmetic: str
    samples_s: tuple[AnyNumber, ...]
    implementation: str = ""
    dtype: str = "fp32"
    predicted: tuple[PredictedTime, ...] = ()
    paths: tuple[str, ...] = ()
    positions: tuple[Size, ...] = ()
    case: str = ""
    cache: str = ""
    includes: str = ""
    sites: Count = 0
    bytes_moved: Count = 0
    limit: str = ""
    limit_sites_per_s: Positive | None = None
    reference: str = ""
    reference_samples_s: tuple[AnyNumber, ...] = ()
    converged: bool | None = None
    warnings: tuple[str, ...] = ()
    speed_factor: Positive | None = None
    kernels: tuple[MeasuredKernel, ...] = ()
    peak_bytes: Size | None = None
    energy_j: NotNegative | None = None
    energy_resolution_j: NotNegative | None = None

    @property
    def label(self) -> str:
        return " ".join(
            part for part in (self.path or "(model)", self.arithmetic, self.implementation) if part
        )

    @property
    def times(self) -> int:
        """How many layers of the model have this shape."""
        return max(len(self.paths), 1)

    @property
    def median_s(self) -> float:
        return statistics.median(self.samples_s)

    @property
    def interval_s(self) -> tuple[float, float] | None:
        """The 95 % interval of the median, or None with fewer than six samples. See `median_interval`."""
        return median_interval(self.samples_s)

    @property
    def spread(self) -> float | None:
        """Half the interval, relative to the median."""
        interval = self.interval_s
        return None if interval is None else half_width(interval, self.median_s)

    @property
    def ratio(self) -> tuple[float, tuple[float, float] | None] | None:
        """How many times as long a run takes as the reference, with the 95 % interval; None without a
        reference.
        """
        if not self.reference_samples_s:
            return None
        return interleaved_ratio(self.samples_s, self.reference_samples_s)

    @property
    def sites_per_s(self) -> float | None:
        return self.sites / self.median_s if self.sites else None

    @property
    def share_of_limit(self) -> float | None:
        """The row's rate / the rate of the bare inner loop, which was measured beside it."""
        if not self.sites or not self.limit_sites_per_s:
            return None
        return self.sites / self.median_s / self.limit_sites_per_s

    @property
    def intensity(self) -> float | None:
        """Operations for each byte. A site counts as two operations."""
        return 2 * self.sites / self.bytes_moved if self.bytes_moved else None


@dataclass(frozen=True, slots=True)
class FailedRow:
    """A layer that could not be timed, with the reason."""

    path: str
    arithmetic: str
    implementation: str
    dtype: str
    reason: str
    case: str = ""
    paths: tuple[str, ...] = ()

    @property
    def times(self) -> int:
        return max(len(self.paths), 1)

    @property
    def label(self) -> str:
        return " ".join(
            part
            for part in (self.path or "(model)", self.arithmetic, self.implementation, self.dtype)
            if part
        )


@dataclass(frozen=True, slots=True)
class Measurements:
    """Timings made in one environment. left_out: rows that could not be used, with the reasons.

    settings: the settings of the run. limits: rates of the device, measured in the same run; "memory" is in
    bytes a second.
    """

    model: str
    environment: Mapping[str, str]
    rows: tuple[MeasuredRow, ...]
    left_out: tuple[str, ...] = ()
    settings: Mapping[str, str] = field(default_factory=dict)
    limits: Mapping[str, NotNegative] = field(default_factory=dict)
    failed: tuple[FailedRow, ...] = ()
    notes: tuple[str, ...] = ()


def measurements_from_data(data: Any, source: str = "measurements", where: str = "") -> Measurements:
    """Reads the document above. Raises DataError naming `source` and the field. A row whose samples are no
    times, such as infinite ones, is left out; a negative sample is a fault of the document.

    where: the path of the measurements inside the document `source`, for messages.
    """
    fields = checked_fields(data, SCHEMA, f"{source}, {where}" if where else source)
    read = read_as(Measurements, fields, source, where)
    for path, sample in _samples(read.rows):
        if sample < 0:
            inside = f"{where}.{path}" if where else path
            raise misfit(source, inside, sample, "a number of at least 0")
    usable, left_out = [], list(read.left_out)
    for row in read.rows:
        why = _unusable(row)
        if why:
            left_out.append(f"{row.label}: {why}")
        else:
            usable.append(row)
    if not usable and not read.failed:
        raise DataError(f"{source} has no usable row", "; ".join(left_out[:3]) or "measure again")
    return replace(read, rows=tuple(usable), left_out=tuple(left_out))


DOCUMENT = Document(SCHEMA, "measurements", Measurements, measurements_from_data)


def _samples(rows: Sequence[MeasuredRow]) -> Iterator[tuple[str, float]]:
    """(path in the document, seconds) of each sample."""
    for i, row in enumerate(rows):
        for name, samples in (("samples_s", row.samples_s), ("reference_samples_s", row.reference_samples_s)):
            yield from ((f"rows[{i}].{name}[{j}]", sample) for j, sample in enumerate(samples))


def _unusable(row: MeasuredRow) -> str:
    """The reason why a row cannot be shown; "" where it can."""
    for samples in (row.samples_s, row.reference_samples_s):
        bad = sum(not (math.isfinite(sample) and sample > 0) for sample in samples)
        if bad:
            return f"{bad} of {len(samples)} samples are no positive number"
    if not row.samples_s:
        return "no samples"
    if row.reference_samples_s and (
        len(row.samples_s) != len(row.reference_samples_s) or len(row.samples_s) % 2
    ):
        return "its samples do not pair up with those of its reference"
    return ""


def measurements_to_data(measurements: Measurements) -> dict[str, Any]:
    return {"schema": SCHEMA, **to_plain(measurements)}


def measurements_to_json(measurements: Measurements) -> str:
    """The document as text, with one row on each line, so that files can be compared line by line."""
    data = measurements_to_data(measurements)
    rows = ",\n".join(f"  {json.dumps(row, allow_nan=False)}" for row in data.pop("rows"))
    text = f'{json.dumps(data, indent=1, allow_nan=False)[:-2]},\n "rows": [\n{rows}\n ]\n}}\n'
    return harmless_json(text)
