"""The fit: seconds of any kernel from those that were timed, and of a network from its kernels.

A kernel takes o + a·sites + b·bytes, with o, a and b of its family: the prior. Boosted trees learn what the
logarithm of the time has beyond it. Each kernel was timed near (the second-level cache swept before each
run) and far (the last-level cache too). In a network it takes between the two, and longer the less of the
network's weights a cache keeps from one run to the next:

    seconds = near + α·(far - near) + call,   α = most·W / (W + W₀),

where W is the bytes of all weights. W₀, `most` and `call`, what a call takes outside its kernel, are fitted
to networks of random layers that were timed whole.

Intervals are split-conformal: the quantile of the errors that kernels have which a fit did not see, family by
family. Source: Lei et al., Distribution-free predictive inference for regression, JASA 2018.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from addercost.cost.calibrated.features import CATEGORIES, FAMILIES, features, sizes_of
from addercost.counts.kernel_calls import KernelCall
from addercost.errors import ArgumentError
from addercost.hardware.kernel_times import KernelTimes, NetworkSample, weight_bytes

Floats = NDArray[np.float64]
COVERED = 0.9
"""The share of kernels that an interval is to cover."""

FOLDS = 3
LEAST_SAMPLES = 60
"""Fewer kernels are not fitted."""

_FEW = 12
"""A family with fewer samples takes the law and the interval of all kernels together."""


@dataclass(frozen=True)
class TimeModel:
    """Seconds of kernels in one state of the caches. laws: (log o, log a, log b) by family, -1 for all."""

    laws: dict[int, Floats]
    trees: Any

    def seconds(self, calls: Sequence[KernelCall], rows: Floats) -> Floats:
        prior = log_prior(self.laws, calls, rows)
        result: Floats = np.exp(prior + self.trees.predict(np.column_stack([rows, prior])))
        return result


def log_prior(laws: dict[int, Floats], calls: Sequence[KernelCall], rows: Floats) -> Floats:
    work = np.array([[1.0, z.sites, z.bytes] for z in map(sizes_of, calls)])
    law = np.array([laws.get(int(family), laws[-1]) for family in rows[:, 0]])
    result: Floats = np.log((work * np.exp(law)).sum(axis=1))
    return result


def fit_times(calls: Sequence[KernelCall], rows: Floats, seconds: Floats) -> TimeModel:
    from scipy.optimize import least_squares
    from sklearn.ensemble import HistGradientBoostingRegressor

    work = np.array([[1.0, z.sites, z.bytes] for z in map(sizes_of, calls)])
    logs = np.log(seconds)
    laws: dict[int, Floats] = {}
    for family in (-1, *range(len(FAMILIES))):
        chosen = np.ones(len(calls), bool) if family < 0 else rows[:, 0] == family
        if family >= 0 and chosen.sum() < _FEW:
            continue

        def errors(law: Floats, chosen: NDArray[np.bool_] = chosen) -> Floats:
            result: Floats = np.log((work[chosen] * np.exp(law)).sum(axis=1)) - logs[chosen]
            return result

        start = np.log([3e-6, 3e-11, 5e-11])
        laws[family] = least_squares(errors, start, loss="soft_l1", max_nfev=100).x
    prior = log_prior(laws, calls, rows)
    trees = HistGradientBoostingRegressor(
        loss="absolute_error",
        max_iter=150,
        learning_rate=0.1,
        max_leaf_nodes=12,
        min_samples_leaf=5,
        l2_regularization=1.0,
        categorical_features=list(CATEGORIES),
        random_state=0,
    ).fit(np.column_stack([rows, prior]), logs - prior)
    return TimeModel(laws, trees)


@dataclass(frozen=True)
class Calibrated:
    """Seconds of kernels and of networks on one machine.

    spread: by family, the factor that `COVERED` of the kernels are within; -1 for all families.
    network_spread: the same of whole networks. sampled: (least, most) bytes and sites by family.
    """

    near: TimeModel
    far: TimeModel
    call_s: float
    most_far: float
    half_bytes: float
    spread: dict[int, float]
    network_spread: float
    sampled: dict[int, tuple[float, float]]

    def far_share(self, weights: float) -> float:
        """α of a network whose weights take so many bytes."""
        return self.most_far * weights / (weights + self.half_bytes)

    def seconds(self, calls: Sequence[KernelCall], weights: float) -> Floats:
        """[calls]: in a network whose weights take so many bytes."""
        rows = features(calls)
        near, far = self.near.seconds(calls, rows), self.far.seconds(calls, rows)
        result: Floats = near + self.far_share(weights) * np.maximum(far - near, 0.0) + self.call_s
        return result


def fit(times: KernelTimes) -> Calibrated:
    """Raises ArgumentError where there is too little to fit."""
    samples = times.samples
    if len(samples) < LEAST_SAMPLES or len(times.networks) < 4:
        raise ArgumentError(
            f"the calibration has {len(samples)} kernels and {len(times.networks)} networks; it needs "
            f"{LEAST_SAMPLES} and 4",
            "go on with `addercost calibrate --kernels`",
        )
    calls = [sample.call for sample in samples]
    rows = features(calls)
    near_s = np.array([float(np.median(sample.near_s)) for sample in samples])
    far_s = np.array([float(np.median(sample.far_s)) for sample in samples])
    near, far = fit_times(calls, rows, near_s), fit_times(calls, rows, far_s)
    half_bytes, most_far, call_s, network_spread = _fit_networks(times.networks, near, far)
    families = rows[:, 0].astype(int)
    work = np.array([z.sites for z in map(sizes_of, calls)], dtype=np.float64)
    return Calibrated(
        near,
        far,
        call_s,
        most_far,
        half_bytes,
        conformal_spread(families, unseen_errors(calls, rows, near_s)),
        network_spread,
        {
            family: (float(work[families == family].min()), float(work[families == family].max()))
            for family in set(families.tolist())
        },
    )


def unseen_errors(calls: Sequence[KernelCall], rows: Floats, seconds: Floats) -> Floats:
    """log(predicted / measured) of each kernel, by a fit to the other folds."""
    folds = np.random.default_rng(0).permutation(len(calls)) % FOLDS
    errors = np.zeros(len(calls))
    for fold in range(FOLDS):
        seen, unseen = (np.flatnonzero(chosen).tolist() for chosen in (folds != fold, folds == fold))
        model = fit_times([calls[i] for i in seen], rows[seen], seconds[seen])
        predicted = model.seconds([calls[i] for i in unseen], rows[unseen])
        errors[unseen] = np.log(predicted / seconds[unseen])
    return errors


def conformal_spread(families: NDArray[np.int_], errors: Floats) -> dict[int, float]:
    """The factor by family that covers `COVERED` of unseen kernels; by all of them where a family has few."""
    spread = {-1: math.exp(_quantile(np.abs(errors)))}
    for family in sorted(set(families.tolist())):
        chosen = np.abs(errors[families == family])
        if len(chosen) >= _FEW:
            spread[family] = math.exp(_quantile(chosen))
    return spread


def _quantile(errors: Floats) -> float:
    """The ⌈(n + 1)·COVERED⌉-th smallest of n."""
    n = len(errors)
    return float(np.sort(errors)[min(math.ceil((n + 1) * COVERED), n) - 1])


def _fit_networks(
    networks: Sequence[NetworkSample], near: TimeModel, far: TimeModel
) -> tuple[float, float, float, float]:
    """(W₀ in bytes, the most of α, seconds outside each kernel, spread of networks that were not seen)."""
    from scipy.optimize import least_squares

    sums = np.array([_sums(network, near, far) for network in networks])
    measured = np.log([float(np.median(network.seconds)) for network in networks])

    def predicted(law: Floats, sums: Floats) -> Floats:
        share = sums[:, 2] / (sums[:, 2] + math.exp(law[0])) / (1 + math.exp(-law[1]))
        result: Floats = np.log(
            sums[:, 0] + share * (sums[:, 1] - sums[:, 0]) + sums[:, 3] * math.exp(law[2])
        )
        return result

    def fitted(chosen: NDArray[np.int_]) -> Floats:
        def errors(law: Floats) -> Floats:
            # A weak pull to what is usual keeps few networks from absurd numbers.
            return np.concatenate([predicted(law, sums[chosen]) - measured[chosen], 0.01 * (law - start)])

        law: Floats = least_squares(errors, start, loss="soft_l1", f_scale=0.05).x
        return law

    start = np.array([math.log(3e7), 1.0, math.log(3e-6)])
    every = np.arange(len(networks))
    unseen = [
        abs(float((predicted(fitted(every[every != i]), sums[i : i + 1]) - measured[i])[0])) for i in every
    ]
    law = fitted(every)
    most = 1 / (1 + math.exp(-law[1]))
    return math.exp(law[0]), most, math.exp(law[2]), math.exp(_quantile(np.array(unseen)))


def _sums(network: NetworkSample, near: TimeModel, far: TimeModel) -> tuple[float, float, float, float]:
    """(seconds near, far, bytes of weights, calls)."""
    distinct = list(dict.fromkeys(network.calls))
    times = np.array([network.calls.count(call) for call in distinct])
    rows = features(distinct)
    near_s, far_s = near.seconds(distinct, rows), far.seconds(distinct, rows)
    return (
        float(times @ near_s),
        float(times @ np.maximum(far_s, near_s)),
        float(weight_bytes(network.calls)),
        float(len(network.calls)),
    )
