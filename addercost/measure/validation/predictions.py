"""The predictions of every cost model for a traced network, as a row of a validation."""

from __future__ import annotations

from collections.abc import Sequence

from addercost.analysis.network_kind import network_family, network_kind
from addercost.cost.estimate import estimate
from addercost.cost.layers import bytes_moved
from addercost.cost.models import cost_model_named
from addercost.cost.target import Target
from addercost.counts.model import ModelCounts, count
from addercost.results.validation import RowPrediction, ValidationRow
from addercost.trace.record import Trace


def network_row(
    trace: Trace, name: str, measured_s: float, target: Target, models: Sequence[str]
) -> ValidationRow:
    """The row of a network without its time. name: the row's name, whose first word is the network."""
    counts = count(trace)
    return ValidationRow(
        name=name,
        measured_s=measured_s,
        predicted=predictions(counts, target, models),
        family=network_family(name),
        kind=network_kind(trace),
        mac_sites=counts.mac_sites,
        bytes_moved=round(sum(map(bytes_moved, counts.layers))),
    )


def predictions(counts: ModelCounts, target: Target, models: Sequence[str]) -> tuple[RowPrediction, ...]:
    """One prediction for each cost model that gives seconds above 0. A model with intervals that lacks some
    kernels predicts nothing, since a lower bound has no interval.
    """
    found = []
    for cost in (estimate(counts, target, model) for model in models):
        if cost.seconds and (cost.complete or cost.interval_s is None):
            low_s, high_s = cost.interval_s or (None, None)
            parts = _parts(counts, target, cost.model)
            found.append(RowPrediction(cost.model, cost.seconds, low_s, high_s, cost.complete, parts))
    return tuple(found)


def _parts(counts: ModelCounts, target: Target, model: str) -> tuple[float, ...]:
    """Seconds of arithmetic, of bytes and of calls at the full rates of the part, for a model that adds these
    up.
    """
    if not cost_model_named(model).adds_up or not target.has_part_rates:
        return ()
    from addercost.cost.efficiency_fit import unit_seconds

    return tuple(map(float, unit_seconds(counts, target, model)))
