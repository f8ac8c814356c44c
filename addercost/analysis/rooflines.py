"""Rooflines: every layer with sites is a point below the roof of its arithmetic. All rates are
predictions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from addercost.arithmetic import Arithmetic, OpCounts
from addercost.cost.estimate import estimate
from addercost.cost.models import roofline, throughput
from addercost.cost.target import Target
from addercost.counts.arithmetics import site_counts
from addercost.counts.model import ModelCounts
from addercost.counts.work import Sites
from addercost.errors import ArgumentError
from addercost.results.profile import Profile
from addercost.results.report import Roofline, RooflinePoint, arithmetic_of, network_name

_PEAK_SITES = 2**30
_MOST_POINTS = 1000


def drawn_roofline(profiles: Sequence[Profile], target: Target) -> Roofline:
    """The roofline: the predicted rate of every layer with sites, and the roof of each profile's arithmetic.

    Raises ArgumentError where the table has no bandwidth or no clock.
    """
    bandwidth, clock = target.memory_bandwidth_bytes_per_s, target.clock_hz
    if bandwidth is None or clock is None:
        raise ArgumentError(
            f"{target.name} has no memory bandwidth or no clock in its table",
            "choose another processor for a roofline",
        )
    peaks: dict[str, float] = {}
    points: list[RooflinePoint] = []
    left_out = 0
    lacking: dict[str, None] = {}
    for profile in profiles:
        name = network_name(profile)
        cost = estimate(profile.counts, target, roofline.MODEL.name)
        own: list[RooflinePoint] = []
        unknown = 0
        for layer, estimated in zip(profile.counts.layers, cost.layers, strict=True):
            moved = layer.bytes_read + layer.bytes_written
            if layer.mac_sites and layer.arithmetic and not estimated.complete:
                # Without all of its operations, the rate of a layer would exceed what the target can do.
                unknown += 1
            elif layer.mac_sites and layer.arithmetic and moved and estimated.cycles:
                rate = layer.mac_sites / estimated.cycles * clock
                own.append(
                    RooflinePoint(
                        layer.path, name, layer.mac_sites, layer.mac_sites / moved, rate, estimated.bound
                    )
                )
        least = sorted((point.sites for point in own), reverse=True)[:_MOST_POINTS][-1] if own else 0
        points += [point for point in own if point.sites >= least][:_MOST_POINTS]
        left_out = max(len(own) - _MOST_POINTS, 0)
        arithmetic = arithmetic_of(profile)
        if arithmetic is not None:
            peak = _peak_sites_per_s(profile.counts, arithmetic, target, clock)
            if peak is not None:
                peaks[name] = peak
        if unknown:
            figures = ", ".join(item.figure for item in cost.missing)
            lacking[f"{unknown} layers of {name} are left out: {target.name} has no figure for {figures}"] = (
                None
            )
    assumptions = estimate(profiles[0].counts, target, roofline.MODEL.name).assumptions
    return Roofline(target.name, bandwidth, peaks, tuple(points), (*assumptions, *lacking), left_out)


@dataclass(frozen=True, slots=True)
class _InnerLoop:
    """A layer that has only sites and moves no bytes: an inner loop with all its data in registers."""

    counts: OpCounts
    arithmetic: Arithmetic
    path: str = ""
    mac_sites: int = _PEAK_SITES
    bytes: float = 0


def _peak_sites_per_s(
    counts: ModelCounts, arithmetic: Arithmetic, target: Target, clock_hz: float
) -> float | None:
    """The rate of the inner loop of `arithmetic` in the model's number format, by the throughput model. None
    where the target lacks a figure for it.
    """
    formats = [f for layer in counts.layers for _, f, _ in layer.counts if layer.mac_sites and f != "bit"]
    number_format = max(set(formats), key=lambda f: (formats.count(f), f), default="fp32")
    sites = Sites(
        _PEAK_SITES, 1, number_format=number_format, accumulator_format=number_format, arithmetic=arithmetic
    )
    cost = estimate([_InnerLoop(site_counts(sites), arithmetic)], target, throughput.MODEL.name)
    return _PEAK_SITES / cost.cycles * clock_hz if cost.complete and cost.cycles else None
