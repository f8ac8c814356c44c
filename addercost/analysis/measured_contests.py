"""Groups timings into contests. A contest has the timings that were taken in turn with one reference."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from dataclasses import dataclass

from addercost.analysis.layer_sums import layer_sums
from addercost.results.intervals import RatioOutcome, verdict
from addercost.results.measurements import MeasuredRow, Measurements
from addercost.results.network_ratio import NetworkRatio, network_ratio


@dataclass(frozen=True, slots=True)
class MeasuredSide:
    """One way to compute the layers or the network of a contest. ratio: its time / the reference's, None for
    the reference itself. interval: the 95 % interval of the ratio. left_out: how many layers are left out of
    the times of both sides.
    """

    arithmetic: str
    implementation: str
    dtype: str
    seconds: float
    ratio: float | None = None
    interval: tuple[float, float] | None = None
    left_out: int = 0

    @property
    def outcome(self) -> RatioOutcome:
        return verdict(self.interval)


@dataclass(frozen=True, slots=True)
class MeasuredContest:
    """Layers or a network that were timed in several ways. layers: how many layers were timed one by one and
    added up; 0 for the whole network in one run. sides: the reference first, if there is one, then the
    others.
    """

    layers: int
    sides: tuple[MeasuredSide, ...]

    @property
    def reference(self) -> MeasuredSide:
        return self.sides[0]


def measured_contests(measurements: Measurements) -> list[MeasuredContest]:
    """The contests: first sums over layers, one for each reference, then runs of the whole network, one for
    each reference.
    """
    return [*_of_layers(measurements), *_of_networks(measurements)]


def _of_layers(measurements: Measurements) -> Iterator[MeasuredContest]:
    """The contests of layers. A ratio covers the layers that were timed in turn with the reference; see
    `network_ratio`.
    """
    keys = dict.fromkeys(
        (row.arithmetic, row.implementation, row.dtype) for row in measurements.rows if row.path
    )
    by_reference: dict[str, list[tuple[tuple[str, str, str], NetworkRatio]]] = {}
    for key in keys:
        found = network_ratio(measurements, *key)
        if found is not None:
            by_reference.setdefault(found.reference, []).append((key, found))
    sums = {item.label: item for item in layer_sums(measurements)}
    for label, others in by_reference.items():
        layers = max(found.layers for _, found in others)
        known = sums.get(label)
        reference = (
            MeasuredSide(known.arithmetic, known.implementation, known.dtype, known.seconds)
            if known is not None
            else MeasuredSide("", label, "", others[0][1].reference_s)
        )
        sides = (
            MeasuredSide(
                *key,
                found.own_s,
                1 / found.ratio,
                (1 / found.high, 1 / found.low),
                layers - found.layers,
            )
            for key, found in others
        )
        yield MeasuredContest(layers, (reference, *sides))


def _of_networks(measurements: Measurements) -> Iterator[MeasuredContest]:
    groups: dict[str, list[MeasuredSide]] = {}
    for row in measurements.rows:
        if row.path:
            continue
        if not row.reference:
            label = f"{row.arithmetic} {row.implementation} {row.dtype}"
            groups.setdefault(label, []).insert(0, _side(row))
        else:
            groups.setdefault(row.reference, []).append(_side(row))
    for label, sides in groups.items():
        if sides[0].ratio is not None:
            # The reference has no row itself.
            own = next(row for row in measurements.rows if row.reference == label)
            sides.insert(0, MeasuredSide("", label, "", statistics.median(own.reference_samples_s)))
        yield MeasuredContest(0, tuple(sides))


def _side(row: MeasuredRow) -> MeasuredSide:
    ratio, interval = row.ratio or (None, None)
    return MeasuredSide(row.arithmetic, row.implementation, row.dtype, row.median_s, ratio, interval)
