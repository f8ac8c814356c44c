"""The best architectures of a sweep by a metric, and the Pareto front of several."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from addercost.cost.stated_errors import stated_lines
from addercost.errors import ArgumentError
from addercost.report.table import Column, Kind, Table
from addercost.sweep.queries.metrics import Variant, metric_columns, metric_limit, metric_values
from addercost.sweep.queries.sweep_data import SweepData
from addercost.sweep.queries.tie_ceiling import TieCeiling, tie_ceiling


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

    shown: further metrics, as columns. Equal values have equal ranks. Raises ArgumentError for an unknown
    metric.
    """
    parsed = [metric_limit(text) for text in limits]
    metrics = list(dict.fromkeys([by, *(limit.metric for limit in parsed), *shown]))
    names, values = metric_values(data, metrics, variant, parsed)
    column = values[:, 0]
    order = np.argsort(-column if largest else column, kind="stable")[:rows]
    better = np.sort(-column if largest else column)
    ranks = np.searchsorted(better, (-column if largest else column)[order], side="left") + 1
    found = [
        {"rank": int(rank), "name": names[i], **dict(zip(metrics, _plain(values[i]), strict=True))}
        for rank, i in zip(ranks, order, strict=True)
    ]
    ties = (_tie_note(by, tie_ceiling(column)),) if len(column) else ()
    notes = (*ties, *_stated(data, metrics), *data.remarks)
    title = f"{'largest' if largest else 'smallest'} {by}, {variant}"
    return Table((Column("rank", "rank", Kind.COUNT), *metric_columns(metrics)), found, title, notes)


def pareto(
    data: SweepData,
    smallest: Sequence[str],
    largest: Sequence[str],
    variant: Variant,
    limits: Sequence[str] = (),
) -> Table:
    """The Pareto front. One architecture beats another if it is at least as good in every metric and better
    in one. Equal architectures are all kept. Raises ArgumentError for an unknown metric, or fewer than two.
    """
    if len(smallest) + len(largest) < 2:
        raise ArgumentError("a front needs two metrics", "for example --min cycles@amd-zen4 --max accuracy")
    metrics = list(dict.fromkeys([*smallest, *largest]))
    parsed = [metric_limit(text) for text in limits]
    wanted = list(dict.fromkeys([*metrics, *(limit.metric for limit in parsed)]))
    names, values = metric_values(data, wanted, variant, parsed)
    signs = np.array([-1.0 if metric in largest else 1.0 for metric in metrics])
    kept = front(values[:, : len(metrics)] * signs)
    found = [{"name": names[i], **dict(zip(metrics, _plain(values[i]), strict=False))} for i in kept]
    title = f"Pareto front of {len(names):,} architectures, {variant}"
    notes = [_tie_note(metric, tie_ceiling(values[:, column])) for column, metric in enumerate(metrics)]
    return Table(
        tuple(metric_columns(metrics)), found, title, (*notes, *_stated(data, metrics), *data.remarks)
    )


def front(values: NDArray[np.float64]) -> list[int]:
    """The row numbers of the Pareto front of an array [n, metrics], where smaller is better, sorted by the
    first metric.
    """
    order = np.lexsort(values.T[::-1])
    kept: list[int] = []
    best = np.empty((0, values.shape[1]))
    for i in order:
        row = values[i]
        # In this order a row beats no row before it, so rows that were kept stay on the front.
        if not len(best) or not bool(((best <= row).all(axis=1) & (best < row).any(axis=1)).any()):
            kept.append(int(i))
            best = np.vstack([best, row])
    return kept


def _stated(data: SweepData, metrics: Sequence[str]) -> list[str]:
    """Notes with the stated errors of the cost models of estimated metrics."""
    estimated = [metric.partition("@")[2] for metric in metrics if metric.startswith(("cycles@", "seconds@"))]
    return stated_lines([(data.manifest.settings.cost_model, hardware) for hardware in estimated])


def _plain(values: NDArray[np.float64]) -> list[float]:
    return [int(value) if float(value).is_integer() else float(value) for value in values]


def _tie_note(metric: str, ceiling: TieCeiling) -> str:
    if ceiling.values == ceiling.members:
        return f"{metric}: {ceiling.members:,} architectures, no two equal"
    return (
        f"{metric}: {ceiling.members:,} architectures have {ceiling.values:,} different values; ranks by it "
        f"can agree with a strict order to ρ = {ceiling.rho:.4f}, τ_b = {ceiling.tau_b:.4f} at most"
    )
