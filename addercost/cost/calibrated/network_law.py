"""The time of kernels in a network, computed from their times alone.

Each kernel was timed *near* (the second-level cache is overwritten before each run) and *far* (the last-level
cache as well). In a network, a kernel with weights (a convolution or linear layer) takes a time between these
two, since caches keep some of the weights from one run of the network to the next:

    seconds = near + α·(far - near) + μ·bytes + call   of a convolution,
    seconds = λ·near + α·(far - near) + μ·bytes + call of a linear layer,
    seconds = near + μ·bytes + call                    of any other kernel.

λ makes up for linear layers taking longer in a network than alone. The bytes are those of inputs and outputs:
in a network, other kernels have used the caches between the writing of a value and its reading. `call` is
the time that a call takes outside its kernel. α, λ, μ and `call` are fitted to networks of random layers that
were timed whole.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from addercost.cost.calibrated.families import LINEAR, WITH_WEIGHTS
from addercost.cost.calibrated.features import OTHER_BYTES, features, weight_bytes
from addercost.cost.calibrated.robust_fit import Floats, robust_fit
from addercost.cost.calibrated.spreads import quantile
from addercost.cost.calibrated.time_model import TimeModel
from addercost.cost.cost_model import far_part
from addercost.counts.kernel_calls import KernelCall
from addercost.hardware.kernel_times import NetworkSample

_USUAL_CACHE = 32 << 20


def half_far_bytes(last_level_cache_bytes: int) -> float:
    """How many bytes of weights a network has of which the caches keep half. last_level_cache_bytes: 0 where
    the size is not known.
    """
    return (last_level_cache_bytes or _USUAL_CACHE) / 8


class NearAndFar(NamedTuple):
    """What the law needs of kernels, each [calls]. near_s: seconds of the kernel alone, near. beyond_s: far -
    near seconds, 0 for a kernel without weights. n_bytes: of its inputs and outputs without weights.
    """

    near_s: Floats
    beyond_s: Floats
    is_linear: NDArray[np.bool_]
    n_bytes: Floats


@dataclass(frozen=True, slots=True)
class NetworkLaw:
    """The law of this module: far_share is α, linear_factor is λ, byte_s is μ, call_s is `call`."""

    far_share: float
    linear_factor: float
    byte_s: float
    call_s: float

    def seconds(self, kernels: NearAndFar) -> tuple[Floats, Floats]:
        """([calls], [calls]): seconds with all weights near, and the seconds that far weights add in a large
        network.
        """
        factor = np.where(kernels.is_linear, self.linear_factor, 1.0)
        close = factor * kernels.near_s + self.byte_s * kernels.n_bytes + self.call_s
        return close, self.far_share * kernels.beyond_s


def near_and_far(calls: Sequence[KernelCall], near: TimeModel, far: TimeModel) -> NearAndFar:
    return near_and_far_of(*features(calls), near, far)


def near_and_far_of(rows: Floats, work: Floats, near: TimeModel, far: TimeModel) -> NearAndFar:
    """The same of kernels that `features` describes as (rows, work)."""
    near_s, far_s = near.seconds(work, rows), far.seconds(work, rows)
    beyond_s = np.where(np.isin(rows[:, 0], WITH_WEIGHTS), np.maximum(far_s - near_s, 0.0), 0.0)
    return NearAndFar(near_s, beyond_s, np.isin(rows[:, 0], LINEAR), work[:, OTHER_BYTES])


def fit_networks(
    networks: Sequence[NetworkSample], seconds: Floats, near: TimeModel, far: TimeModel, half_bytes: float
) -> tuple[NetworkLaw, float]:
    """(the law, network_spread). seconds: [networks], their measured times. The spread is the `COVERED`
    quantile of the errors of networks that the fit did not see: each is predicted by a fit to all others.
    """
    sums = _sums(networks, near, far, half_bytes)
    measured = np.log(seconds)
    start = np.array([0.0, 0.0, math.log(1e-11), math.log(3e-6)])
    # A weak pull towards usual values keeps a fit to few networks from absurd numbers. That of `call` matters
    # where kernels are long: with 0.05, 24 chains of 8-bit layers fitted 59 µs a call. Unseen chains were
    # then 7.9 % off in the median, and are 6.9 % off with 0.08.
    pull = np.array([0.01, 0.3, 0.02, 0.08])

    def terms(numbers: Floats) -> Floats:
        law = _law(numbers)
        return np.array([1.0, law.linear_factor, law.far_share, law.byte_s, law.call_s])

    def fitted(chosen: NDArray[np.int_]) -> Floats:
        def errors(numbers: Floats) -> Floats:
            misses = np.log(sums[chosen] @ terms(numbers)) - measured[chosen]
            return np.concatenate([misses, pull * (numbers - start)])

        def slopes(numbers: Floats) -> Floats:
            parts = sums[chosen] * terms(numbers)
            # In the order of the numbers: α, λ, μ and `call`.
            shares = (parts / parts.sum(axis=1, keepdims=True))[:, [2, 1, 3, 4]]
            # α is a logistic function of its number.
            shares[:, 0] *= 1 - _law(numbers).far_share
            return np.concatenate([shares, np.diag(pull)])

        return robust_fit(errors, slopes, start, scale=0.05).numbers

    every = np.arange(len(networks))
    unseen = [
        abs(math.log(float(sums[i] @ terms(fitted(every[every != i])))) - float(measured[i])) for i in every
    ]
    return _law(fitted(every)), math.exp(quantile(np.array(unseen)))


def _law(numbers: Floats) -> NetworkLaw:
    """The law of four fitted numbers: the logit of α, and the logarithms of λ, μ and `call`."""
    return NetworkLaw(1 / (1 + math.exp(-numbers[0])), *np.exp(numbers[1:]).tolist())


def counted_calls(networks: Sequence[NetworkSample]) -> tuple[list[KernelCall], Floats]:
    """(all kernels, each once; [networks, kernels]: how often each network runs each of them)."""
    places: dict[KernelCall, int] = {}
    rows = [[places.setdefault(call, len(places)) for call in network.calls] for network in networks]
    often = [np.bincount(row, minlength=len(places)) for row in rows]
    return list(places), np.array(often, dtype=np.float64)


def far_parts(calls: Sequence[KernelCall], often: Floats, half_bytes: float) -> Floats:
    """[networks]: the share of its weights that a network does not find in the caches."""
    parts: Floats = far_part(often @ np.array([weight_bytes(call) for call in calls]), half_bytes)
    return parts


def _sums(networks: Sequence[NetworkSample], near: TimeModel, far: TimeModel, half_bytes: float) -> Floats:
    """[networks, 5]: near seconds of all kernels but linear layers, near seconds of linear layers, seconds
    that far weights would add with α = 1, bytes of inputs and outputs, number of calls.
    """
    calls, often = counted_calls(networks)
    near_s, beyond_s, is_linear, n_bytes = near_and_far(calls, near, far)
    each = np.column_stack([near_s * ~is_linear, near_s * is_linear, beyond_s, n_bytes, np.ones(len(calls))])
    sums: Floats = often @ each
    sums[:, 2] *= far_parts(calls, often, half_bytes)
    return sums
