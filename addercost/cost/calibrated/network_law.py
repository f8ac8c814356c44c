"""The time of kernels in a network, computed from their times alone.

Each kernel was timed *near* (the second-level cache is overwritten before each run) and *far* (the last-level
cache as well). In a network, a kernel with weights (a convolution or linear layer) takes a time between these
two, since caches keep some of the weights from one run of the network to the next:

    seconds = near + α·(far - near) + call   of a convolution,
    seconds = λ·near + α·(far - near) + call of a linear layer,
    seconds = near + call                    of any other kernel.

λ makes up for linear layers taking longer in a network than alone. `call` is the time that a call takes
outside its kernel. α, λ and `call` are fitted to networks of random layers that were timed whole.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from addercost.cost.calibrated.families import LINEAR, WITH_WEIGHTS
from addercost.cost.calibrated.features import features, weight_bytes
from addercost.cost.calibrated.spreads import quantile
from addercost.cost.calibrated.time_model import Floats, TimeModel
from addercost.cost.cost_model import far_part
from addercost.counts.kernel_calls import KernelCall
from addercost.hardware.kernel_times import NetworkSample

_USUAL_CACHE = 32 << 20


def half_far_bytes(last_level_cache_bytes: int) -> float:
    """How many bytes of weights a network has of which the caches keep half. last_level_cache_bytes: 0 where
    the size is not known.
    """
    return (last_level_cache_bytes or _USUAL_CACHE) / 8


@dataclass(frozen=True, slots=True)
class NetworkLaw:
    """The law of this module: far_share is α, linear_factor is λ, call_s is `call`."""

    far_share: float
    linear_factor: float
    call_s: float

    def seconds(self, near: Floats, beyond: Floats, is_linear: NDArray[np.bool_]) -> tuple[Floats, Floats]:
        """([calls], [calls]): seconds with all weights near, and the seconds that far weights add in a large
        network. near: seconds of each kernel alone, near. beyond: far - near seconds, 0 for a kernel without
        weights.
        """
        factor = np.where(is_linear, self.linear_factor, 1.0)
        return factor * near + self.call_s, self.far_share * beyond


def near_and_far(
    calls: Sequence[KernelCall], near: TimeModel, far: TimeModel
) -> tuple[Floats, Floats, NDArray[np.bool_]]:
    """The arguments of `NetworkLaw.seconds`, each [calls]."""
    return near_and_far_of(*features(calls), near, far)


def near_and_far_of(
    rows: Floats, work: Floats, near: TimeModel, far: TimeModel
) -> tuple[Floats, Floats, NDArray[np.bool_]]:
    """The same of kernels that `features` describes as (rows, work)."""
    near_s, far_s = near.seconds(work, rows), far.seconds(work, rows)
    beyond = np.where(np.isin(rows[:, 0], WITH_WEIGHTS), np.maximum(far_s - near_s, 0.0), 0.0)
    return near_s, beyond, np.isin(rows[:, 0], LINEAR)


def fit_networks(
    networks: Sequence[NetworkSample], seconds: Floats, near: TimeModel, far: TimeModel, half_bytes: float
) -> tuple[NetworkLaw, float]:
    """(the law, network_spread). seconds: [networks], their measured times. The spread is the `COVERED`
    quantile of the errors of networks that the fit did not see: each is predicted by a fit to all others.
    """
    from scipy.optimize import least_squares

    sums = np.array([_sums(network, near, far, half_bytes) for network in networks])
    measured = np.log(seconds)
    start = np.array([0.0, 0.0, math.log(3e-6)])
    # A weak pull towards usual values keeps a fit to few networks from absurd numbers. That of `call` matters
    # where kernels are long: with 0.05, 24 chains of 8-bit layers fitted 59 µs a call. Unseen chains were
    # then 7.9 % off in the median, and are 6.9 % off with 0.08.
    pull = np.array([0.01, 0.3, 0.08])

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
    return _law(fitted(every)), math.exp(quantile(np.array(unseen)))


def _law(numbers: Floats) -> NetworkLaw:
    """The law of three fitted numbers: the logit of α, the logarithm of λ and the logarithm of `call`."""
    return NetworkLaw(1 / (1 + math.exp(-numbers[0])), math.exp(numbers[1]), math.exp(numbers[2]))


def _sums(
    network: NetworkSample, near: TimeModel, far: TimeModel, half_bytes: float
) -> tuple[float, float, float, float]:
    """(near seconds of all kernels but linear layers, near seconds of linear layers, seconds that far weights
    would add with α = 1, number of calls).
    """
    times = Counter(network.calls)
    near_s, beyond, is_linear = near_and_far(list(times), near, far)
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
