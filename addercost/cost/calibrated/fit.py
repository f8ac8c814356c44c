"""The fit: seconds of any kernel from those that were timed, and of a network from its kernels.

A kernel takes o + a·sites + b·bytes, with o, a and b of its family: the prior. Boosted trees learn what the
logarithm of the time has beyond it. Each kernel was timed near (the second-level cache swept before each
run) and far (the last-level cache too). In a network the kernels with weights, which are convolutions and
linear layers, take between the two, since a cache keeps some of the weights from one run to the next:

    seconds = near + α·(far - near) + call   of a convolution,
    seconds = λ·near + α·(far - near) + call of a linear layer,
    seconds = near + call                    of any other kernel.

α, λ, which makes up for linear layers taking longer in a network than alone, and `call`, what a call takes
outside its kernel, are fitted to networks of random layers that were timed whole.

Intervals are split-conformal: the quantile of the errors that kernels have which a fit did not see, family by
family. Source: Lei et al., Distribution-free predictive inference for regression, JASA 2018.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from addercost.cost.calibrated.features import CATEGORIES, FAMILIES, features, weight_bytes
from addercost.cost.cost_model import far_part
from addercost.cost.target import WARM
from addercost.counts.kernel_calls import KernelCall
from addercost.errors import ArgumentError
from addercost.hardware.kernel_times import KernelTimes, NetworkSample

Floats = NDArray[np.float64]
COVERED = 0.9
"""The share of kernels that an interval is to cover."""

FOLDS = 3
SUMMED = 8
"""As many layers of different shapes as a small network has."""

LEAST_SAMPLES = 60
"""Fewer kernels are not fitted."""

_USUAL_CACHE = 32 << 20

_FEW = 12
"""A family with fewer samples takes the law and the interval of all kernels together."""


@dataclass(frozen=True)
class TimeModel:
    """Seconds of kernels in one state of the caches. laws: (log o, log a, log b) by family, -1 for all."""

    laws: dict[int, Floats]
    trees: Any

    def seconds(self, work: Floats, rows: Floats) -> Floats:
        """work, rows: by `features`."""
        prior = log_prior(self.laws, work, rows)
        result: Floats = np.exp(prior + self.trees.predict(np.column_stack([rows, prior])))
        return result


def log_prior(laws: dict[int, Floats], work: Floats, rows: Floats) -> Floats:
    law = np.array([laws.get(int(family), laws[-1]) for family in rows[:, 0]])
    result: Floats = np.log((work * np.exp(law)).sum(axis=1))
    return result


def fit_times(work: Floats, rows: Floats, seconds: Floats) -> TimeModel:
    from scipy.optimize import least_squares
    from sklearn.ensemble import HistGradientBoostingRegressor

    logs = np.log(seconds)
    laws: dict[int, Floats] = {}
    for family in (-1, *range(len(FAMILIES))):
        chosen = np.ones(len(work), bool) if family < 0 else rows[:, 0] == family
        if family >= 0 and chosen.sum() < _FEW:
            continue

        def parts(law: Floats, own: Floats = work[chosen]) -> Floats:
            result: Floats = own * np.exp(law)
            return result

        def errors(law: Floats, parts: Any = parts, own: Floats = logs[chosen]) -> Floats:
            result: Floats = np.log(parts(law).sum(axis=1)) - own
            return result

        def slopes(law: Floats, parts: Any = parts) -> Floats:
            terms = parts(law)
            result: Floats = terms / terms.sum(axis=1, keepdims=True)
            return result

        start = np.log([3e-6, 3e-11, 5e-11])
        laws[family] = least_squares(errors, start, slopes, loss="soft_l1", max_nfev=100).x
    prior = log_prior(laws, work, rows)
    trees = HistGradientBoostingRegressor(
        loss="absolute_error",
        max_iter=60,
        learning_rate=0.2,
        max_leaf_nodes=12,
        min_samples_leaf=5,
        l2_regularization=1.0,
        categorical_features=list(CATEGORIES),
        random_state=0,
    ).fit(np.column_stack([rows, prior]), logs - prior)
    return TimeModel(laws, trees)


def half_far_bytes(last_level_cache_bytes: int) -> float:
    """A network with as many bytes of weights finds half of them in the caches. 0: the size is not known."""
    return (last_level_cache_bytes or _USUAL_CACHE) / 8


@dataclass(frozen=True, slots=True)
class NetworkLaw:
    """What kernels take in a network: α, λ and `call` of this module's law."""

    far_share: float
    linear_factor: float
    call_s: float

    def seconds(self, near: Floats, beyond: Floats, is_linear: NDArray[np.bool_]) -> tuple[Floats, Floats]:
        """([calls], [calls]): without the weights that are far, and what these add in a large network.
        beyond: what a kernel with weights takes longer where the last-level cache is swept.
        """
        factor = np.where(is_linear, self.linear_factor, 1.0)
        return factor * near + self.call_s, self.far_share * beyond


_ONE_ROW = FAMILIES.index("linear of one row")
_LINEAR = [FAMILIES.index(name) for name in ("linear", "linear of one row")]
_WITH_WEIGHTS = [i for i, name in enumerate(FAMILIES) if "convolution" in name or "linear" in name]


def _near_and_far(
    calls: Sequence[KernelCall], near: TimeModel, far: TimeModel
) -> tuple[Floats, Floats, NDArray[np.bool_]]:
    """The arguments of `NetworkLaw.seconds`."""
    rows, work = features(calls)
    near_s, far_s = near.seconds(work, rows), far.seconds(work, rows)
    beyond = np.where(np.isin(rows[:, 0], _WITH_WEIGHTS), np.maximum(far_s - near_s, 0.0), 0.0)
    return near_s, beyond, np.isin(rows[:, 0], _LINEAR)


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
        near, beyond, is_linear = _near_and_far(calls, self.near, self.far)
        close, away = self.law.seconds(near, beyond, is_linear)
        if self.streamed:
            rows, _ = features(calls)
            away = np.where(rows[:, 0] == _ONE_ROW, beyond, away)
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
    return Calibrated(near, far, law, spread, network_spread, _sampled(work, rows), half_bytes)


def fit_alone(times: KernelTimes, caches: str) -> KernelsAlone:
    """caches: `warm` or `cold`. Raises ArgumentError where there is too little to fit."""
    refuse_few(times)
    rows, work = features([sample.call for sample in times.samples])
    seconds = _medians(sample.warm_s if caches == WARM else sample.far_s for sample in times.samples)
    families, errors = rows[:, 0].astype(int), unseen_errors(work, rows, seconds)
    return KernelsAlone(
        fit_times(work, rows, seconds),
        conformal_spread(families, errors),
        _sampled(work, rows),
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


def _sampled(work: Floats, rows: Floats) -> dict[int, tuple[float, float]]:
    """(least, most) sites by family."""
    families, sites = rows[:, 0].astype(int), work[:, 1]
    return {
        family: (float(sites[families == family].min()), float(sites[families == family].max()))
        for family in set(families.tolist())
    }


def unseen_errors(work: Floats, rows: Floats, seconds: Floats) -> Floats:
    """log(predicted / measured) of each kernel, by a fit to the other folds."""
    folds = np.random.default_rng(0).permutation(len(work)) % FOLDS
    errors = np.zeros(len(work))
    for fold in range(FOLDS):
        seen, unseen = folds != fold, folds == fold
        model = fit_times(work[seen], rows[seen], seconds[seen])
        errors[unseen] = np.log(model.seconds(work[unseen], rows[unseen]) / seconds[unseen])
    return errors


def conformal_spread(families: NDArray[np.int_], errors: Floats) -> dict[int, float]:
    """The factor by family that covers `COVERED` of unseen kernels; by all of them where a family has few."""
    spread = {-1: math.exp(_quantile(np.abs(errors)))}
    for family in sorted(set(families.tolist())):
        chosen = np.abs(errors[families == family])
        if len(chosen) >= _FEW:
            spread[family] = math.exp(_quantile(chosen))
    return spread


def spread_of_sums(families: NDArray[np.int_], errors: Floats, seconds: Floats) -> float:
    """The factor that covers `COVERED` of sums over `SUMMED` kernels with weights, by fits that did not see
    them: the errors of a network's layers cancel in part.
    """
    chosen = np.flatnonzero(np.isin(families, _WITH_WEIGHTS))
    if len(chosen) < SUMMED:
        chosen = np.arange(len(families))
    random = np.random.default_rng(0)
    drawn = random.choice(chosen, (1000, min(SUMMED, len(chosen))))
    sums = seconds[drawn].sum(axis=1)
    return math.exp(_quantile(np.abs(np.log((seconds[drawn] * np.exp(errors[drawn])).sum(axis=1) / sums))))


def _quantile(errors: Floats) -> float:
    """The ⌈(n + 1)·COVERED⌉-th smallest of n."""
    n = len(errors)
    return float(np.sort(errors)[min(math.ceil((n + 1) * COVERED), n) - 1])


def fit_networks(
    networks: Sequence[NetworkSample], near: TimeModel, far: TimeModel, half_bytes: float
) -> tuple[NetworkLaw, float]:
    """The law, and the spread of networks that a fit to the others did not see."""
    from scipy.optimize import least_squares

    sums = np.array([_sums(network, near, far, half_bytes) for network in networks])
    measured = np.log([float(np.median(network.seconds)) for network in networks])
    start = np.array([0.0, 0.0, math.log(3e-6)])
    # A weak pull to what is usual keeps few networks from absurd numbers.
    pull = np.array([0.01, 0.3, 0.01])

    def predicted(numbers: Floats, sums: Floats) -> Floats:
        law = _law(numbers)
        terms = (1.0, law.linear_factor, law.far_share, law.call_s)
        result: Floats = np.log(sums @ np.array(terms))
        return result

    def fitted(chosen: NDArray[np.int_]) -> Floats:
        def errors(numbers: Floats) -> Floats:
            misses = predicted(numbers, sums[chosen]) - measured[chosen]
            return np.concatenate([misses, pull * (numbers - start)])

        numbers: Floats = least_squares(errors, start, loss="soft_l1", f_scale=0.05).x
        return numbers

    every = np.arange(len(networks))
    unseen = [
        abs(float((predicted(fitted(every[every != i]), sums[i : i + 1]) - measured[i])[0])) for i in every
    ]
    return _law(fitted(every)), math.exp(_quantile(np.array(unseen)))


def _law(numbers: Floats) -> NetworkLaw:
    """numbers: the logit of α, the logarithms of λ and of `call`."""
    return NetworkLaw(1 / (1 + math.exp(-numbers[0])), math.exp(numbers[1]), math.exp(numbers[2]))


def _sums(
    network: NetworkSample, near: TimeModel, far: TimeModel, half_bytes: float
) -> tuple[float, float, float, float]:
    """(near seconds of all kernels but linear layers, near seconds of linear layers, seconds that far weights
    add to near ones, number of calls)."""
    times = Counter(network.calls)
    near_s, beyond, is_linear = _near_and_far(list(times), near, far)
    often = np.array(list(times.values()), dtype=np.float64)
    linear = often * is_linear
    weights = sum(n * weight_bytes(call) for call, n in times.items())
    share = float(far_part(weights, half_bytes))
    return (
        float((often - linear) @ near_s),
        float(linear @ near_s),
        share * float(often @ beyond),
        float(often.sum()),
    )
