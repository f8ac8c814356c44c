"""Fits the three numbers of `effective_rates` to networks that were measured on a part."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from addercost.cost.engine import Engine
from addercost.cost.layers import CountedLayer, CountedModel, kind_of, layers_of, moved_by
from addercost.cost.lowering import operations_of
from addercost.cost.models import cost_model_named
from addercost.cost.target import Target
from addercost.errors import ArgumentError
from addercost.hardware.schema.efficiency import Efficiency
from addercost.hardware.vocabulary import Quality

Network = CountedModel | Iterable[CountedLayer]
Floats = NDArray[np.float64]

FEWEST_NETWORKS = 6
_STEPS = 100
_OUTLIER = 0.2
"""Errors above 20 % count by their size and no longer by its square, since a few networks follow other
laws.
"""


def fit(
    networks: Sequence[Network],
    seconds: Sequence[float],
    target: Target,
    run: str,
    source: str = "fitted on measured networks",
) -> Efficiency:
    """The efficiency with which the cost model `run` (`eager` or `fused`) comes nearest to the measured
    `seconds` of networks.

    It minimises Σ soft-L1(log(estimate / measured)) by Levenberg and Marquardt's steps. The steps change the
    logarithms of the three numbers, so that none becomes negative. Raises ArgumentError for fewer than six
    networks, a time that is no positive number, or a target without a clock and a memory bandwidth.
    """
    measured = np.asarray(seconds, dtype=np.float64)
    if len(networks) != len(measured):
        raise ArgumentError(f"{len(networks)} networks have {len(measured)} times: expected one each")
    if len(networks) < FEWEST_NETWORKS:
        raise ArgumentError(
            f"{len(networks)} measured networks decide no three numbers",
            f"measure at least {FEWEST_NETWORKS}",
        )
    if not np.all(np.isfinite(measured) & (measured > 0)):
        raise ArgumentError("a measured time is not a positive number of seconds")
    parts = np.array([unit_seconds(network, target, run) for network in networks])
    numbers = nearest(parts, measured)
    errors = np.abs(np.log(parts @ numbers / measured))
    return Efficiency(
        run=run,
        arithmetic_share=float(1 / numbers[0]),
        bandwidth_share=float(1 / numbers[1]),
        call_s=float(numbers[2]),
        source=source,
        quality=Quality.MEASURED,
        spread=float(np.exp(np.quantile(errors, 0.9))),
        networks=len(networks),
    )


def unit_seconds(network: Network, target: Target, run: str) -> Floats:
    """[3]: seconds of arithmetic at the full throughput, seconds of bytes at the full bandwidth, and the
    number of kernels. An estimate is the sum of these, divided by the two shares and multiplied by the
    seconds a call. Raises ArgumentError where the target has no clock or memory bandwidth.
    """
    if target.clock_hz is None or not target.has_part_rates:
        raise ArgumentError(
            f"{target.name} has no clock or no memory bandwidth", "name a table that has both in its [part]"
        )
    unit = Efficiency(run, 1, 1, 1, "", Quality.MODEL)
    engine = Engine(replace(target, efficiencies=(unit,)), cost_model_named(run))
    known: dict[object, Floats] = {}
    total = np.zeros(3)
    for layer in layers_of(network):
        kind = kind_of(layer)
        if kind not in known:
            costed = engine.cost(engine.lower(operations_of(kind)), moved_by(kind))
            if len(costed.bounds) < 3:
                raise ArgumentError("the counts do not say which kernels run", "count the networks again")
            known[kind] = np.array([bound.cycles for bound in costed.bounds]) / target.clock_hz
        total += known[kind]
    return total


def nearest(parts: Floats, measured: Floats) -> Floats:
    """The [3] positive numbers for which parts [N, 3] @ numbers is nearest to measured [N]."""
    ratio = parts / measured[:, None]
    # Each part alone explains a third of the median network.
    start = np.array([1 / (3 * max(float(np.median(column)), 1e-12)) for column in ratio.T])
    logs, damping = np.log(start), 1e-3

    def loss(logs: Floats) -> float:
        errors = np.log(ratio @ np.exp(logs)) / _OUTLIER
        return float(np.sum(np.sqrt(1 + errors**2) - 1))

    least = loss(logs)
    for _ in range(_STEPS):
        each = ratio * np.exp(logs)
        errors = np.log(each.sum(axis=1))
        slopes = each / each.sum(axis=1, keepdims=True)
        weights = 1 / np.sqrt(1 + (errors / _OUTLIER) ** 2)
        curvature = slopes.T @ (weights[:, None] * slopes)
        step = np.linalg.solve(
            curvature + damping * np.diag(np.diag(curvature) + 1e-12), -slopes.T @ (weights * errors)
        )
        # Without a limit, a number that no network depends on would grow without end.
        moved = logs + np.clip(step, -2, 2)
        found = loss(moved)
        if found < least:
            done = least - found < 1e-10 * least
            logs, least, damping = moved, found, damping / 4
            if done:
                break
        else:
            damping *= 8
    numbers: Floats = np.exp(logs)
    return numbers
