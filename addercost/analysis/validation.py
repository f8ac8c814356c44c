"""Scores of predictions against measured times: errors, shares within a band, order, coverage.

A cost model's seconds are scored unchanged. They are scored again after multiplication by one factor, which a
single measured network or half of the networks sets. The factor removes errors that are the same for all
networks (clock, number of cores, efficiency). The errors of networks relative to each other are left.
"""

from __future__ import annotations

import hashlib
import math
import statistics
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from addercost.results.validation import (
    NETWORKS,
    FamilyError,
    RowPrediction,
    Score,
    Validation,
    ValidationRow,
)

BASELINES = ("MACs", "bytes")
"""Predictors without a model: the number of multiply-accumulate sites, and the bytes that operators move. A
cost model that orders networks no better than these explains nothing."""

HALF = "half"
"""Scaled by the median ratio of half of the networks; the other half is scored."""

FIT = "fit"
"""The model's own numbers are fitted to half of the networks; the other half is scored."""

FEWEST = 3
"""Groups and families of fewer rows get no score."""

WORST = 3
"""How many families are named as the worst."""


def scored(validation: Validation, anchor: str = "") -> Validation:
    """The validation with the scores of its rows, in order of group and predictor.

    anchor: the name of the network that sets a factor; "" for half of the networks.
    """
    return replace(validation, scores=tuple(_scores(validation.rows, anchor or HALF)))


def _scores(rows: Sequence[ValidationRow], scaled_by: str) -> Iterator[Score]:
    for group in dict.fromkeys(row.group for row in rows):
        members = [row for row in rows if row.group == group]
        models = dict.fromkeys(p.model for row in members for p in row.predicted)
        for model in (*models, *BASELINES):
            pairs = list(_pairs(members, model))
            # A factor for layers would hide errors that all layers share, such as those of the arithmetic.
            for how in ("", scaled_by) if group == NETWORKS else ("",):
                found = score(pairs, group, model, how)
                if found is not None:
                    yield found
            fitted = _fitted(pairs)
            if fitted:
                found = score(fitted, group, model)
                if found is not None:
                    yield replace(found, scaled_by=FIT)


Pair = tuple[ValidationRow, RowPrediction]


def _pairs(rows: Iterable[ValidationRow], model: str) -> Iterator[Pair]:
    """(row, prediction) of the rows for which the predictor has a number above 0."""
    for row in rows:
        made: Iterable[RowPrediction] = row.predicted
        if model in BASELINES:
            made = (RowPrediction(model, float(row.mac_sites if model == "MACs" else row.bytes_moved)),)
        for prediction in made:
            if prediction.model == model and prediction.seconds > 0:
                yield row, prediction


def score(pairs: Sequence[Pair], group: str, model: str, scaled_by: str = "") -> Score | None:
    """The score of one predictor; None where too few rows are left, or the network that sets the factor is
    missing.
    """
    factor = 1.0
    if scaled_by:
        setting = [pair for pair in pairs if _sets_factor(pair[0], scaled_by)]
        if not setting:
            return None
        factor = statistics.median(row.measured_s / p.seconds for row, p in setting)
        pairs = [pair for pair in pairs if not _sets_factor(pair[0], scaled_by)]
    if len(pairs) < FEWEST:
        return None
    ratios = [factor * p.seconds / row.measured_s for row, p in pairs]
    measured = [row.measured_s for row, _ in pairs]
    predicted = [p.seconds for _, p in pairs]
    from addercost.analysis.rank_correlation import kendall, spearman

    found = Score(
        group=group,
        model=model,
        rows=len(pairs),
        spearman=spearman(predicted, measured),
        kendall=kendall(predicted, measured),
        spread=math.exp(statistics.pstdev(map(math.log, ratios))),
        scaled_by=scaled_by,
        lower_bounds=sum(not p.complete for _, p in pairs),
    )
    if model in BASELINES and not scaled_by:
        return found
    errors = [abs(ratio - 1) for ratio in ratios]
    return replace(
        found,
        median_error=statistics.median(errors),
        p90_error=percentile(errors, 0.9),
        bias=statistics.median(ratios) - 1,
        within_10=within(errors, 0.10),
        within_25=within(errors, 0.25),
        coverage=None if scaled_by else _coverage(pairs),
        worst=worst_families([row.family for row, _ in pairs], errors),
    )


def _fitted(pairs: Sequence[Pair]) -> list[Pair]:
    """Predictions for one half by the numbers fitted to the other half; none for predictions without
    parts.
    """
    from addercost.cost.efficiency_fit import FEWEST_NETWORKS

    half = [(row, p) for row, p in pairs if p.parts and sets_half(row.family, row.name)]
    rest = [(row, p) for row, p in pairs if p.parts and not sets_half(row.family, row.name)]
    if len(half) < FEWEST_NETWORKS:
        return []
    import numpy as np

    from addercost.cost.efficiency_fit import nearest

    numbers = nearest(np.array([p.parts for _, p in half]), np.array([row.measured_s for row, _ in half]))
    return [(row, replace(p, seconds=float(np.dot(p.parts, numbers)))) for row, p in rest]


def percentile(values: Sequence[float], share: float) -> float:
    """A percentile by linear interpolation between order statistics. Source: Hyndman and Fan, Am. Stat. 50
    (1996), 7.
    """
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    low = math.floor(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (place - low) * (ordered[high] - ordered[low])


def within(errors: Sequence[float], band: float) -> float:
    """The share of errors of at most `band`."""
    return sum(error <= band for error in errors) / len(errors)


def worst_families(families: Sequence[str], errors: Sequence[float]) -> tuple[FamilyError, ...]:
    """The families with the largest median errors, the worst first."""
    by_family: dict[str, list[float]] = {}
    for family, error in zip(families, errors, strict=True):
        by_family.setdefault(family, []).append(error)
    found = [
        FamilyError(family, statistics.median(members), len(members))
        for family, members in by_family.items()
        if family and len(members) >= FEWEST
    ]
    return tuple(sorted(found, key=lambda item: -item.median)[:WORST])


def sets_half(family: str, name: str) -> bool:
    """Whether a network is in the half that sets the factor. A hash decides, so the order of rows does not
    matter.

    Networks of one family may be in both halves. All rows of one network (sizes, batches) are in one half;
    the first word of a name is the network.
    """
    return hashlib.sha256(f"{family} {name.split()[0]}".encode()).digest()[0] % 2 == 0


def _sets_factor(row: ValidationRow, scaled_by: str) -> bool:
    if scaled_by == HALF:
        return sets_half(row.family, row.name)
    return scaled_by in (row.name, row.name.split()[0])


def _coverage(pairs: Sequence[Pair]) -> float | None:
    with_interval = [
        p.low_s <= row.measured_s <= p.high_s
        for row, p in pairs
        if p.low_s is not None and p.high_s is not None
    ]
    return sum(with_interval) / len(with_interval) if with_interval else None
