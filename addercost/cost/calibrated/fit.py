"""The fit to timed kernels and networks: seconds of any kernel, alone and in a network.

`time_model.py` has the law of kernels, `network_law.py` what a network adds, `spreads.py` the intervals.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from addercost.cost.calibrated.families import ONE_ROW
from addercost.cost.calibrated.features import features
from addercost.cost.calibrated.network_law import NetworkLaw, fit_networks, half_far_bytes, near_and_far
from addercost.cost.calibrated.spreads import conformal_spread, spread_of_sums, unseen_errors
from addercost.cost.calibrated.time_model import Floats, TimeModel, fit_times
from addercost.cost.target import WARM
from addercost.counts.kernel_calls import KernelCall
from addercost.errors import ArgumentError
from addercost.hardware.kernel_times import KernelTimes

LEAST_SAMPLES = 60
"""Fewer kernels are not fitted."""


@dataclass(frozen=True)
class Calibrated:
    """Seconds of kernels in networks on one machine.

    spread: by family, the factor that `COVERED` of the kernels are within; -1 for all families.
    network_spread: the same of whole networks. sampled: (least, most) sites by family. half_bytes: of weights
    of the network that finds half of them in the caches. streamed: products of one row, which compute too
    little to hide the memory, take α = 1.
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
        """([calls], [calls]): of each kernel in a network, with its call, as `NetworkLaw` has them."""
        near, beyond, is_linear = near_and_far(calls, self.near, self.far)
        close, away = self.law.seconds(near, beyond, is_linear)
        if self.streamed:
            rows, _ = features(calls)
            away = np.where(rows[:, 0] == ONE_ROW, beyond, away)
        return close, away


@dataclass(frozen=True)
class KernelsAlone:
    """Seconds of kernels that run again and again, in one state of the caches. The fields are those of
    `Calibrated`; network_spread is that of a sum of `SUMMED` kernels with weights.
    """

    model: TimeModel
    spread: dict[int, float]
    sampled: dict[int, tuple[float, float]]
    network_spread: float
    half_bytes: float = math.inf

    def seconds(self, calls: Sequence[KernelCall]) -> tuple[Floats, Floats]:
        """([calls], zeros), as `Calibrated` has them."""
        rows, work = features(calls)
        return self.model.seconds(work, rows), np.zeros(len(calls))


Fit = Calibrated | KernelsAlone


def fit(times: KernelTimes) -> Calibrated:
    """Raises ArgumentError where there is too little to fit."""
    refuse_few(times)
    rows, work = features([sample.call for sample in times.samples])
    near_s, far_s = (
        _medians(sample.near_s for sample in times.samples),
        _medians(sample.far_s for sample in times.samples),
    )
    near, far = fit_times(work, rows, near_s), fit_times(work, rows, far_s)
    half_bytes = half_far_bytes(times.conditions.last_level_cache_bytes)
    law, network_spread = fit_networks(times.networks, near, far, half_bytes)
    spread = conformal_spread(rows[:, 0].astype(int), unseen_errors(work, rows, near_s))
    return Calibrated(near, far, law, spread, network_spread, sampled_sites(work, rows), half_bytes)


def fit_alone(times: KernelTimes, caches: str) -> KernelsAlone:
    """caches: `warm` or `cold`. Raises ArgumentError where there is too little to fit."""
    refuse_few(times)
    rows, work = features([sample.call for sample in times.samples])
    seconds = _medians(sample.warm_s if caches == WARM else sample.far_s for sample in times.samples)
    families, errors = rows[:, 0].astype(int), unseen_errors(work, rows, seconds)
    return KernelsAlone(
        fit_times(work, rows, seconds),
        conformal_spread(families, errors),
        sampled_sites(work, rows),
        spread_of_sums(families, errors, seconds),
    )


def refuse_few(times: KernelTimes) -> None:
    """Raises ArgumentError where there is too little to fit."""
    if len(times.samples) < LEAST_SAMPLES or len(times.networks) < 4:
        raise ArgumentError(
            f"the calibration has {len(times.samples)} kernels and {len(times.networks)} networks; it needs "
            f"{LEAST_SAMPLES} and 4",
            "go on with `addercost calibrate --kernels`",
        )


def _medians(samples: Iterable[tuple[float, ...]]) -> Floats:
    return np.array([float(np.median(seconds)) for seconds in samples])


def sampled_sites(work: Floats, rows: Floats) -> dict[int, tuple[float, float]]:
    """(least, most) sites by family."""
    families, sites = rows[:, 0].astype(int), work[:, 1]
    return {
        family: (float(sites[families == family].min()), float(sites[families == family].max()))
        for family in set(families.tolist())
    }
