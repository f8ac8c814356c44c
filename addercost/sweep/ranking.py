"""The best architectures of a sweep by a metric, the Pareto front of several, and how far such ranks reach.

A metric is a column, or `cycles@PROCESSOR`, `seconds@PROCESSOR`, `energy_j@TABLE`, which are estimates, or
`measured_s@DEVICE`, the median of what was timed.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from addercost.errors import ArgumentError, unknown_name
from addercost.report.table import Column, Kind, Table
from addercost.results.environment import differences
from addercost.sweep.query import SweepData

_AT = {"cycles": "cpu", "seconds": "cpu", "energy_j": "energy"}
_MEASURED = "measured_s"
_LIMIT = re.compile(r"(.+?)(<=|>=|<|>|=)\s*([-+]?[0-9.]+(?:[eE][-+]?[0-9]+)?)")
_KINDS = dict.fromkeys(("cycles", "parameters", "mac_sites", "bytes"), (Kind.COUNT, ""))
_KINDS |= dict.fromkeys(("seconds", _MEASURED), (Kind.QUANTITY, "s"))
_KINDS["energy_j"] = (Kind.QUANTITY, "J")


@dataclass(frozen=True, slots=True)
class Variant:
    """Which of an architecture's rows are compared: one arithmetic, convention and batch."""

    arithmetic: str
    convention: str
    batch: int


@dataclass(frozen=True, slots=True)
class Ceiling:
    """The most a ranking with ties can agree with a strict one: Spearman's ρ and Kendall's τ_b.

    ρ: √(1 − Σ(t³ − t) / (n³ − n)) over groups of t equal values among n, since equal values share their
    middle rank. τ_b: √(1 − Σ t(t − 1) / n(n − 1)), since tied pairs agree with neither order. Source:
    Kendall, Rank Correlation Methods, chapter 3.
    """

    members: int
    values: int
    rho: float
    tau_b: float


def ceiling(values: NDArray[Any]) -> Ceiling:
    n = len(values)
    _, sizes = np.unique(values, return_counts=True)
    t = sizes.astype(np.float64)
    if n < 2:
        return Ceiling(n, len(sizes), 1.0, 1.0)
    rho = math.sqrt(1 - float((t**3 - t).sum()) / (float(n) ** 3 - n))
    tau_b = math.sqrt(1 - float((t * (t - 1)).sum()) / (float(n) * (n - 1)))
    return Ceiling(n, len(sizes), rho, tau_b)


def top(
    data: SweepData,
    by: str,
    variant: Variant,
    limits: Sequence[str] = (),
    rows: int = 10,
    largest: bool = False,
    shown: Sequence[str] = (),
) -> Table:
    """The `rows` architectures with the smallest `by` (or largest) within `limits`, such as `accuracy>90`.

    Equal values have equal ranks. Raises ArgumentError for an unknown metric.
    """
    parsed = [_limit(text) for text in limits]
    metrics = list(dict.fromkeys([by, *(metric for metric, _, _ in parsed), *shown]))
    names, values = _selected(data, metrics, variant, parsed)
    column = values[:, 0]
    order = np.argsort(-column if largest else column, kind="stable")[:rows]
    better = np.sort(-column if largest else column)
    ranks = np.searchsorted(better, (-column if largest else column)[order], side="left") + 1
    found = [
        {"rank": int(rank), "name": names[i], **dict(zip(metrics, _plain(values[i]), strict=True))}
        for rank, i in zip(ranks, order, strict=True)
    ]
    notes = (_tie_note(by, ceiling(column)), *data.remarks) if len(column) else data.remarks
    title = f"{'largest' if largest else 'smallest'} {by}, {_described(variant)}"
    return Table((Column("rank", "rank", Kind.COUNT), *_columns(metrics)), found, title, notes)


def pareto(
    data: SweepData,
    smallest: Sequence[str],
    largest: Sequence[str],
    variant: Variant,
    limits: Sequence[str] = (),
) -> Table:
    """Architectures that no other beats: at least as good in every metric, and better in one. Equal ones all
    stay.
    """
    if len(smallest) + len(largest) < 2:
        raise ArgumentError("a front needs two metrics", "for example --min cycles@amd-zen4 --max accuracy")
    metrics = list(dict.fromkeys([*smallest, *largest]))
    parsed = [_limit(text) for text in limits]
    names, values = _selected(
        data, list(dict.fromkeys([*metrics, *(m for m, _, _ in parsed)])), variant, parsed
    )
    signs = np.array([-1.0 if metric in largest else 1.0 for metric in metrics])
    kept = front(values[:, : len(metrics)] * signs)
    found = [{"name": names[i], **dict(zip(metrics, _plain(values[i]), strict=False))} for i in kept]
    title = f"Pareto front of {len(names):,} architectures, {_described(variant)}"
    notes = [_tie_note(metric, ceiling(values[:, column])) for column, metric in enumerate(metrics)]
    return Table(tuple(_columns(metrics)), found, title, (*notes, *data.remarks))


def front(values: NDArray[np.float64]) -> list[int]:
    """Row numbers of the front of [n, metrics], smaller being better, by rising first metric."""
    order = np.lexsort(values.T[::-1])
    kept: list[int] = []
    best = np.empty((0, values.shape[1]))
    for i in order:
        row = values[i]
        # Whatever comes later in this order beats nothing that came before it.
        if not len(best) or not bool(((best <= row).all(axis=1) & (best < row).any(axis=1)).any()):
            kept.append(int(i))
            best = np.vstack([best, row])
    return kept


def _selected(
    data: SweepData, metrics: Sequence[str], variant: Variant, limits: Sequence[tuple[str, str, float]]
) -> tuple[list[str], NDArray[np.float64]]:
    """Names and [n, metrics] of the architectures that have every metric and keep the limits."""
    expressions = [_expression(data, metric) for metric in metrics]
    columns = ", ".join(f"{expression} AS m{i}" for i, expression in enumerate(expressions))
    conditions = [f"m{i} IS NOT NULL" for i in range(len(metrics))]
    conditions += [f"m{list(metrics).index(metric)} {sign} {bound!r}" for metric, sign, bound in limits]
    sql = (
        f"SELECT * FROM (SELECT name, {columns} FROM sweep WHERE error IS NULL AND arithmetic = ? "
        f"AND convention = ? AND batch = ? GROUP BY name) WHERE {' AND '.join(conditions)} ORDER BY name"
    )
    found = data.columns(sql, (variant.arithmetic, variant.convention, variant.batch))
    names = [str(name) for name in found["name"]]
    values = [np.asarray(found[f"m{i}"], dtype=np.float64) for i in range(len(metrics))]
    return names, np.stack(values, axis=1)


def _expression(data: SweepData, metric: str) -> str:
    name, at, hardware = metric.partition("@")
    if name == _MEASURED:
        return _measured(data, hardware)
    known = [*data.numeric_columns(), *([_MEASURED] if data.devices else [])]
    if name not in known:
        raise unknown_name("metric", name, known)
    quoted = '"' + name.replace('"', '""') + '"'
    if not at:
        if name in _AT:
            raise ArgumentError(f"{name} of which hardware?", f"write it as {name}@NAME")
        return f"max({quoted})"
    settings = data.manifest.settings
    if name not in _AT:
        raise ArgumentError(f"{name} does not depend on hardware", f"write it as {name}")
    choices = settings.cpus if _AT[name] == "cpu" else settings.energies
    if hardware not in choices:
        raise unknown_name(f"hardware of this sweep for {name}", hardware, choices)
    return f"max(CASE WHEN {_AT[name]} = '{hardware}' THEN {quoted} END)"


def _measured(data: SweepData, device: str) -> str:
    """The median on one device. Raises ArgumentError where there is none, or it is of several machines."""
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


def _limit(text: str) -> tuple[str, str, float]:
    match = _LIMIT.fullmatch(text.strip())
    if match is None:
        raise ArgumentError(f"--limit {text!r} is no limit", "write it as accuracy>90 or cycles@amd-zen4<1e9")
    return match[1].strip(), match[2], float(match[3])


def _columns(metrics: Sequence[str]) -> list[Column]:
    kinds = [_KINDS.get(metric.partition("@")[0], (Kind.NUMBER, "")) for metric in metrics]
    return [Column("name", "name"), *(Column(m, m, *kind) for m, kind in zip(metrics, kinds, strict=True))]


def _plain(values: NDArray[np.float64]) -> list[float]:
    return [int(value) if float(value).is_integer() else float(value) for value in values]


def _described(variant: Variant) -> str:
    return f"arithmetic {variant.arithmetic}, convention {variant.convention}, batch {variant.batch}"


def _tie_note(metric: str, limit: Ceiling) -> str:
    if limit.values == limit.members:
        return f"{metric}: {limit.members:,} architectures, no two equal"
    return (
        f"{metric}: {limit.members:,} architectures have {limit.values:,} different values; ranks by it can "
        f"agree with a strict order to ρ = {limit.rho:.4f}, τ_b = {limit.tau_b:.4f} at most"
    )
