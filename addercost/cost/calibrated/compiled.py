"""The time of networks that `torch.compile` compiled, from the times of the same kernels run eagerly.

inductor, torch's compiler, calls the libraries' kernels for convolutions, linear layers, products and
attention, with images in channels-last. It writes all other kernels itself, and joins those that follow each
other. So a kernel takes a fixed share of its eager time, which depends on its class:

    seconds = share(class)·near + α·(far - near) + call + copy·(bytes of weights).

near, far and α are those of eager networks in channels-last (see `network_law.py`). `call` is for kernels of
the libraries alone. Each forward copies the weights of convolutions with filters larger than one pixel to
channels-last, since torch.compile does not freeze weights by default: `copy` is the time a byte. The shares,
`call` and `copy` are fitted to networks of random layers that were compiled and timed whole.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from addercost.cost.calibrated.families import FAMILIES, WITH_WEIGHTS, filters_of
from addercost.cost.calibrated.features import features
from addercost.cost.calibrated.fit import Calibrated, mean_timings
from addercost.cost.calibrated.network_law import counted_calls, far_parts, near_and_far_of
from addercost.cost.calibrated.robust_fit import Floats, robust_fit
from addercost.cost.calibrated.spreads import quantile
from addercost.counts.kernel_calls import KernelCall, Operand
from addercost.hardware.kernel_times import KernelTimes, NetworkSample

LIBRARY, NORMS, SPECIAL, SIMPLE, OTHERS = range(5)
"""The classes of kernels: those of libraries, normalisations and reductions, special functions, simple
element-wise operators, and the others: pools, copies and look-ups.
"""

_CLASS_OF = {
    **dict.fromkeys(("product", "attention"), LIBRARY),
    **dict.fromkeys(("batch norm", "row norm", "softmax", "reduction"), NORMS),
    **dict.fromkeys(("special function", "gelu"), SPECIAL),
    **dict.fromkeys(("elementwise", "broadcast"), SIMPLE),
}
_CLASSES = np.array(
    [LIBRARY if i in WITH_WEIGHTS else _CLASS_OF.get(name, OTHERS) for i, name in enumerate(FAMILIES)]
)

_START = np.log([1.0, 0.7, 0.7, 0.3, 1.0, 2e-6, 2e-10])
"""The logarithms of the usual numbers: the share of each class, `call` in seconds and `copy` in seconds a
byte.
"""

_PULL = np.array([0.1, 0.02, 0.02, 0.02, 0.02, 0.02, 0.02])
"""How strongly each number is pulled towards the usual one, so that few networks give no absurd numbers."""


@dataclass(frozen=True)
class CompiledNetworks:
    """Seconds of kernels in compiled networks. eager: the fit to the kernels run eagerly. shares: by class.
    call_s, copy_s: `call` and `copy` of this module. network_spread: as in `Calibrated`.
    """

    eager: Calibrated
    shares: Floats
    call_s: float
    copy_s: float
    network_spread: float

    @property
    def spread(self) -> dict[int, float]:
        return self.eager.spread

    @property
    def sampled(self) -> dict[int, tuple[float, float]]:
        return self.eager.sampled

    @property
    def half_bytes(self) -> float:
        return self.eager.half_bytes

    def seconds(self, calls: Sequence[KernelCall]) -> tuple[Floats, Floats]:
        """([calls], [calls]): seconds of each kernel with its weights in the caches, and the seconds that far
        weights add in a large network.
        """
        parts, away = _parts(self.eager, calls)
        return parts @ np.array([*self.shares, self.call_s, self.copy_s]), away


def fit_compiled(times: KernelTimes, eager: Calibrated) -> CompiledNetworks:
    """The fit to timed compiled networks. network_spread comes from networks that the fit did not see: each
    is predicted by a fit to the networks of all other patterns. A network of a user is of no pattern that was
    timed, so a fit to others of its own pattern would promise too much.
    """
    networks, seconds = mean_timings(times)
    measured = np.log(seconds)
    linear, fixed = _sums(eager, networks)

    def predicted(numbers: Floats, chosen: NDArray[np.int_]) -> Floats:
        result: Floats = np.log(linear[chosen] @ np.exp(numbers) + fixed[chosen])
        return result

    def fitted(chosen: NDArray[np.int_]) -> Floats:
        def errors(numbers: Floats) -> Floats:
            misses = predicted(numbers, chosen) - measured[chosen]
            return np.concatenate([misses, _PULL * (numbers - _START)])

        def slopes(numbers: Floats) -> Floats:
            parts = linear[chosen] * np.exp(numbers)
            shares = parts / (parts.sum(axis=1) + fixed[chosen])[:, None]
            return np.concatenate([shares, np.diag(_PULL)])

        return robust_fit(errors, slopes, _START, scale=0.05).numbers

    patterns = np.array([network.name.rpartition(" ")[0] for network in networks])
    unseen = np.zeros(len(networks))
    for pattern in set(patterns.tolist()):
        left_out = np.flatnonzero(patterns == pattern)
        numbers = fitted(np.flatnonzero(patterns != pattern))
        unseen[left_out] = np.abs(predicted(numbers, left_out) - measured[left_out])
    *shares, call_s, copy_s = np.exp(fitted(np.arange(len(networks)))).tolist()
    return CompiledNetworks(eager, np.array(shares), call_s, copy_s, math.exp(quantile(unseen)))


def _parts(eager: Calibrated, calls: Sequence[KernelCall]) -> tuple[Floats, Floats]:
    """([calls, classes + 2], [calls]): what the shares of the classes, `call` and `copy` are multiplied by,
    and the seconds that far weights add.
    """
    rows, work = features(calls)
    near, beyond, is_linear, _ = near_and_far_of(rows, work, eager.near, eager.far)
    near = np.where(is_linear, eager.law.linear_factor * near, near)
    classes = _CLASSES[rows[:, 0].astype(int)]
    parts = np.zeros((len(calls), len(_START)))
    parts[np.arange(len(calls)), classes] = near
    parts[:, -2] = classes == LIBRARY
    parts[:, -1] = [_copied_bytes(call) for call in calls]
    return parts, eager.law.far_share * beyond


def _copied_bytes(call: KernelCall) -> int:
    """Bytes of the weights that each forward copies."""
    if not call.name.endswith(".convolution") or math.prod(filters_of(call)[2:]) == 1:
        return 0
    weight = call.argument("weight")
    return weight.n_bytes if isinstance(weight, Operand) else 0


def _sums(eager: Calibrated, networks: Sequence[NetworkSample]) -> tuple[Floats, Floats]:
    """([networks, classes + 2], [networks]): `_parts` summed over each network, and the seconds that its far
    weights add.
    """
    calls, often = counted_calls(networks)
    parts, away = _parts(eager, calls)
    return often @ parts, far_parts(calls, often, eager.half_bytes) * (often @ away)
