"""The fit to timed kernels and networks: seconds of any kernel, alone and in a network.

`time_model.py` has the law of single kernels. `network_law.py` has how their times differ in a network.
`spreads.py` has the intervals.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np

from addercost.cost.calibrated.codes import CODES
from addercost.cost.calibrated.families import ONE_ROW
from addercost.cost.calibrated.features import features
from addercost.cost.calibrated.network_law import NetworkLaw, fit_networks, half_far_bytes, near_and_far_of
from addercost.cost.calibrated.robust_fit import Floats
from addercost.cost.calibrated.spreads import conformal_spread, spread_of_sums, unseen_errors
from addercost.cost.calibrated.time_model import TimeModel, fit_times
from addercost.cost.calibrated.usual_speed import at_usual_speed
from addercost.cost.target import WARM
from addercost.counts.kernel_calls import KernelCall
from addercost.errors import ArgumentError
from addercost.hardware.kernel_times import COMPILED, KernelSample, KernelTimes, NetworkSample

Sample = TypeVar("Sample", KernelSample, NetworkSample)

LEAST_SAMPLES, LEAST_NETWORKS = 60, 4
"""The fewest timed kernels and networks that are enough for a fit."""

LEAST_COMPILED = 8
"""The fewest compiled networks that are enough. Their fit has seven numbers, all pulled to usual ones."""


@dataclass(frozen=True)
class Calibrated:
    """Seconds of kernels in networks on one machine.

    spread: for each family, the factor within which `COVERED` of the kernels are predicted; the key -1 is for
    all families together. network_spread: the same factor for whole networks. sampled: (least, most) sites of
    the timed kernels of each family. half_bytes: a network with so many bytes of weights finds half of them
    in the caches. streamed: products of one row take α = 1, since they compute too little to hide the memory.
    """

    near: TimeModel
    far: TimeModel
    law: NetworkLaw
    spread: dict[int, float]
    network_spread: float
    sampled: dict[int, tuple[float, float]]
    half_bytes: float
    streamed: bool = False

    def seconds(self, calls: Sequence[KernelCall]) -> tuple[Floats, Floats]:
        """([calls], [calls]): seconds of each kernel in a network, including its call; see
        `NetworkLaw.seconds`.
        """
        rows, work = features(calls)
        kernels = near_and_far_of(rows, work, self.near, self.far)
        close, away = self.law.seconds(kernels)
        if self.streamed:
            away = np.where(np.isin(rows[:, 0], ONE_ROW), kernels.beyond_s, away)
        return close, away


@dataclass(frozen=True)
class KernelsAlone:
    """Seconds of kernels that run repeatedly, in one state of the caches. The fields are those of
    `Calibrated`, but network_spread is the factor for a sum of `SUMMED` kernels with weights.
    """

    model: TimeModel
    spread: dict[int, float]
    sampled: dict[int, tuple[float, float]]
    network_spread: float
    half_bytes: float = math.inf

    def seconds(self, calls: Sequence[KernelCall]) -> tuple[Floats, Floats]:
        """([calls], [calls]): seconds of each kernel, and zeros, so that the result has the form of
        `Calibrated`'s.
        """
        rows, work = features(calls)
        return self.model.seconds(work, rows), np.zeros(len(calls))


class Fit(Protocol):
    """What a prediction needs of a fit: the fields and the method of `Calibrated`."""

    @property
    def spread(self) -> dict[int, float]: ...

    @property
    def network_spread(self) -> float: ...

    @property
    def sampled(self) -> dict[int, tuple[float, float]]: ...

    @property
    def half_bytes(self) -> float: ...

    def seconds(self, calls: Sequence[KernelCall]) -> tuple[Floats, Floats]: ...


def fit(times: KernelTimes) -> Calibrated:
    """The fit to timed kernels and networks. Raises ArgumentError where there are too few of them."""
    refuse_few(times)
    rows, work = features([sample.call for sample in times.samples])
    near_s, far_s = near_and_far_seconds(times)
    near, far = fit_times(work, rows, near_s), fit_times(work, rows, far_s)
    half_bytes = half_far_bytes(times.conditions.last_level_cache_bytes)
    law, network_spread = fit_networks(*mean_timings(times), near, far, half_bytes)
    spread = conformal_spread(rows[:, 0].astype(int), unseen_errors(work, rows, near_s))
    return Calibrated(near, far, law, spread, network_spread, sampled_sites(work, rows), half_bytes)


def near_and_far_seconds(times: KernelTimes) -> tuple[Floats, Floats]:
    """([kernels], [kernels]): what each kernel takes with near and with far weights.

    Codes take a quarter of the memory of fp32 numbers, so the second-level cache keeps what one kernel hands
    to the next. The near times of kernels on codes are therefore the warm ones.
    """
    in_codes = times.conditions.dtype == CODES
    near_s = typical_seconds(times, times.samples, lambda s: s.warm_s if in_codes else s.near_s)
    far_s = typical_seconds(times, times.samples, lambda sample: sample.far_s)
    return near_s, far_s


def mean_timings(times: KernelTimes) -> tuple[list[NetworkSample], Floats]:
    """([networks], each once, and the means of their timings in seconds)."""
    every = typical_seconds(times, times.networks, lambda network: network.seconds)
    timings: dict[str, list[float]] = {}
    for network, seconds in zip(times.networks, every.tolist(), strict=True):
        timings.setdefault(network.name, []).append(seconds)
    networks = {network.name: network for network in times.networks}
    return list(networks.values()), np.array([statistics.mean(timing) for timing in timings.values()])


def fit_alone(times: KernelTimes, caches: str) -> KernelsAlone:
    """The fit to kernels that run alone. caches: `warm` or `cold`. Raises ArgumentError where there are too
    few.
    """
    refuse_few(times)
    rows, work = features([sample.call for sample in times.samples])
    seconds = typical_seconds(
        times, times.samples, lambda sample: sample.warm_s if caches == WARM else sample.far_s
    )
    families, errors = rows[:, 0].astype(int), unseen_errors(work, rows, seconds)
    return KernelsAlone(
        fit_times(work, rows, seconds),
        conformal_spread(families, errors),
        sampled_sites(work, rows),
        spread_of_sums(families, errors, seconds),
    )


def has_enough(times: KernelTimes) -> bool:
    """Whether there are enough kernels and networks for a fit."""
    if times.conditions.mode == COMPILED:
        return len(times.network_names) >= LEAST_COMPILED
    return len(times.samples) >= LEAST_SAMPLES and len(times.network_names) >= LEAST_NETWORKS


def refuse_few(times: KernelTimes) -> None:
    """Raises ArgumentError where there are too few kernels or networks to fit."""
    if has_enough(times):
        return
    if times.conditions.mode == COMPILED:
        raise ArgumentError(
            f"the calibration has {len(times.network_names)} compiled networks; it needs {LEAST_COMPILED}",
            "go on with `addercost calibrate --kernels --mode compiled`",
        )
    raise ArgumentError(
        f"the calibration has {len(times.samples)} kernels and {len(times.network_names)} networks; "
        f"it needs {LEAST_SAMPLES} and {LEAST_NETWORKS}",
        "go on with `addercost calibrate --kernels`",
    )


def typical_seconds(
    times: KernelTimes, samples: Sequence[Sample], runs_of: Callable[[Sample], tuple[float, ...]]
) -> Floats:
    """[samples]: what each one takes at the speed at which most kernels were timed."""
    usual = times.usual_factor
    return np.array([at_usual_speed(runs_of(sample), sample.factor, usual) for sample in samples])


def sampled_sites(work: Floats, rows: Floats) -> dict[int, tuple[float, float]]:
    """(least, most) sites by family."""
    families, sites = rows[:, 0].astype(int), work[:, 1]
    return {
        family: (float(sites[families == family].min()), float(sites[families == family].max()))
        for family in set(families.tolist())
    }
