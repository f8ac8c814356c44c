"""Metrics by which architectures are ranked, and their values for every architecture.

A metric is a column, an estimate (`cycles@PROCESSOR`, `seconds@PROCESSOR`, `energy_j@TABLE`), or
`measured_s@DEVICE`, the median of timings.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from addercost.errors import ArgumentError, unknown_name
from addercost.report.table import Column, Kind
from addercost.results.environment import differences
from addercost.sweep.queries.sweep_data import SweepData

_HARDWARE_COLUMN = {"cycles": "cpu", "seconds": "cpu", "energy_j": "energy"}
"""For each estimate, the column that names the hardware of a row."""
_MEASURED = "measured_s"
_LIMIT = re.compile(r"(.+?)(<=|>=|<|>|=)\s*([-+]?[0-9.]+(?:[eE][-+]?[0-9]+)?)")
_KINDS = dict.fromkeys(("cycles", "parameters", "mac_sites", "bytes"), (Kind.COUNT, ""))
_KINDS |= dict.fromkeys(("seconds", _MEASURED), (Kind.QUANTITY, "s"))
_KINDS["energy_j"] = (Kind.QUANTITY, "J")


@dataclass(frozen=True, slots=True)
class Variant:
    """Selects which rows of each architecture are compared: those of one arithmetic, convention and batch
    size.
    """

    arithmetic: str
    convention: str
    batch: int

    def __str__(self) -> str:
        return f"arithmetic {self.arithmetic}, convention {self.convention}, batch {self.batch}"


@dataclass(frozen=True, slots=True)
class MetricLimit:
    """A condition on a metric. sign: <, <=, >, >= or =."""

    metric: str
    sign: str
    bound: float


def metric_limit(text: str) -> MetricLimit:
    """Reads a limit such as `accuracy>90`. Raises ArgumentError for a text that is no limit."""
    match = _LIMIT.fullmatch(text.strip())
    if match is None:
        raise ArgumentError(f"--limit {text!r} is no limit", "write it as accuracy>90 or cycles@amd-zen4<1e9")
    return MetricLimit(match[1].strip(), match[2], float(match[3]))


def metric_columns(metrics: Sequence[str]) -> list[Column]:
    """The column of names, and one for each metric."""
    kinds = [_KINDS.get(metric.partition("@")[0], (Kind.NUMBER, "")) for metric in metrics]
    return [Column("name", "name"), *(Column(m, m, *kind) for m, kind in zip(metrics, kinds, strict=True))]


def metric_values(
    data: SweepData, metrics: Sequence[str], variant: Variant, limits: Sequence[MetricLimit]
) -> tuple[list[str], NDArray[np.float64]]:
    """Names, and values [n, metrics], of the architectures that have every metric and are within the limits.

    metrics: those of the limits must be among them. Raises ArgumentError for an unknown metric.
    """
    expressions = [_expression(data, metric) for metric in metrics]
    columns = ", ".join(f"{expression} AS m{i}" for i, expression in enumerate(expressions))
    conditions = [f"m{i} IS NOT NULL" for i in range(len(metrics))]
    conditions += [f"m{list(metrics).index(limit.metric)} {limit.sign} {limit.bound!r}" for limit in limits]
    sql = (
        f"SELECT * FROM (SELECT name, {columns} FROM sweep WHERE error IS NULL AND arithmetic = ? "
        f"AND convention = ? AND batch = ? GROUP BY name) WHERE {' AND '.join(conditions)} ORDER BY name"
    )
    found = data.columns(sql, (variant.arithmetic, variant.convention, variant.batch))
    names = [str(name) for name in found["name"]]
    values = [np.asarray(found[f"m{i}"], dtype=np.float64) for i in range(len(metrics))]
    return names, np.stack(values, axis=1)


def _expression(data: SweepData, metric: str) -> str:
    """SQL for the metric of the rows of one architecture."""
    name, at, hardware = metric.partition("@")
    if name == _MEASURED:
        return _measured(data, hardware)
    known = [*data.numeric_columns(), *([_MEASURED] if data.devices else [])]
    if name not in known:
        raise unknown_name("metric", name, known)
    quoted = '"' + name.replace('"', '""') + '"'
    if not at:
        if name in _HARDWARE_COLUMN:
            raise ArgumentError(f"{name} of which hardware?", f"write it as {name}@NAME")
        return f"max({quoted})"
    settings = data.manifest.settings
    if name not in _HARDWARE_COLUMN:
        raise ArgumentError(f"{name} does not depend on hardware", f"write it as {name}")
    column = _HARDWARE_COLUMN[name]
    choices = settings.cpus if column == "cpu" else settings.energies
    if hardware not in choices:
        raise unknown_name(f"hardware of this sweep for {name}", hardware, choices)
    return f"max(CASE WHEN {column} = '{hardware}' THEN {quoted} END)"


def _measured(data: SweepData, device: str) -> str:
    """SQL for the median on a device. Raises ArgumentError where nothing was timed on it, or where timings
    are of different environments.
    """
    if device not in data.devices:
        if not data.devices:
            raise ArgumentError("nothing was measured here", "measure with `addercost sweep measure DIR`")
        raise unknown_name("measured device", device, data.devices)
    sql = "SELECT DISTINCT environment FROM measured WHERE device = ? AND error IS NULL"
    environments = [json.loads(text) for text in data.columns(sql, (device,))["environment"]]
    if not environments:
        raise ArgumentError(
            f"every measurement on {device} failed",
            "`addercost query DIR 'SELECT name, error FROM measured'` says why; "
            "`sweep measure --retry-failed` goes again",
        )
    first, *others = environments
    for other in others:
        if unlike := differences(first, other):
            raise ArgumentError(
                f"{device} was measured in environments that cannot be ranked together: {unlike[0]}",
                "ask for one of them with `addercost query`, column environment of measured",
            )
    return (
        "max((SELECT median_s FROM measured AS m WHERE m.error IS NULL AND m.name = sweep.name "
        f"AND m.arithmetic = sweep.arithmetic AND m.batch = sweep.batch AND m.device = '{device}'))"
    )
