"""The type of a cost model: a rule from a layer's instructions to cycles, and the figures that the rule
needs.

Each file of `addercost/cost/models/` defines one model, which the folder's `__init__` finds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from addercost.cost.bounds import Bound, Executions, ThroughputBounds
from addercost.cost.columns import Column
from addercost.cost.layers import Moved
from addercost.cost.lowering import Lowering
from addercost.cost.target import Target
from addercost.counts.kernel_calls import KernelCall

BoundsOf = Callable[[ThroughputBounds, Executions, Moved], list[Bound]]
MissingOf = Callable[[Target, Executions, Moved], Mapping[str, Column]]


class Seconds(NamedTuple):
    """A time in seconds, and the ends of the interval in which nine of ten such times are expected."""

    value: float
    low: float
    high: float


def far_part(weights: Column, half_bytes: Column) -> Column:
    """The part (0 to 1) of a network's weights that is in no cache when the network runs again. weights:
    bytes of the network's weights. half_bytes: the bytes at which the part is a half.
    """
    return weights / (weights + half_bytes)


class LayerParts(NamedTuple):
    """What one layer adds to a network. near: its time with all weights in caches. far: the additional time
    with none of the weights in caches. weights: their bytes.
    """

    near: Seconds
    far: Seconds
    weights: int

    def at(self, part: float) -> Seconds:
        """The time with `part` (0 to 1) of the weights in no cache."""
        return Seconds(*(n + part * f for n, f in zip(self.near, self.far, strict=True)))


@dataclass(frozen=True, slots=True)
class NetworkPrediction:
    """A network's time, predicted from times that were measured.

    layers: the time of each layer. shares: what each layer adds to the total and to the ends of the total's
    interval, which is narrower than the sum of the layers' intervals. main_kinds: for each layer, the kind of
    kernel that takes most of its time. missing: for each layer, how many kernels could not be predicted, by
    name. notes: sentences for the reader. parts, half_bytes: the shares are computed of these by `far_part`.
    """

    total: Seconds
    layers: tuple[Seconds, ...]
    shares: tuple[Seconds, ...]
    main_kinds: tuple[str, ...]
    missing: tuple[Mapping[str, int], ...]
    notes: tuple[str, ...]
    parts: tuple[LayerParts, ...]
    half_bytes: float


Kernels = Sequence[KernelCall] | None
"""The kernels of one layer, None where they are not known."""

Predict = Callable[[Target, Sequence[Kernels]], NetworkPrediction]


def _nothing_missing(target: Target, executions: Executions, moved: Moved) -> Mapping[str, Column]:
    return {}


def _usable(target: Target) -> str:
    return ""


def _no_assumption(of: object) -> Iterator[str]:
    return iter(())


@dataclass(frozen=True, slots=True)
class CostModel:
    """A way to predict the cycles of layers. A layer takes the largest of the bounds that `rule` returns;
    where `adds_up`, it takes their sum.

    rule: a function of the target's throughput bounds, the executions and the bytes that layers move; it
    returns named bounds. lowering: how operations become those executions, unless a user asks for another.
    is_serial: every instruction waits for the one before. Cycles are then a sum over operations, and the name
    of the bound is of no interest. needs_memory: the model needs a clock and a memory bandwidth.
    ranks_targets: targets are ranked by this model where nobody names one; every table has the figures for
    it. on_all_cores: the model describes all cores of a part at work on a network, as frameworks use them.
    Commands for one core leave such a model out unless it is named. compiled: it predicts by times of
    compiled networks. Commands for layers or eager networks leave it out unless it is named. missing: figures
    that the rule needs and the target lacks, and how many executions or bytes need them. assumes: what the
    rule assumes about a target. assumes_of: what it assumes about executions. description: how the model
    computes a layer's time, for help texts. predict: for a model that predicts whole networks from
    measured times; it takes the place of the rule where it can be used. unusable: why `predict` cannot be
    used on a target, "" where it can.
    """

    name: str
    description: str
    lowering: Lowering
    rule: BoundsOf
    is_serial: bool = False
    needs_memory: bool = False
    ranks_targets: bool = False
    adds_up: bool = False
    on_all_cores: bool = False
    compiled: bool = False
    missing: MissingOf = _nothing_missing
    assumes: Callable[[Target], Iterator[str]] = _no_assumption
    assumes_of: Callable[[Executions], Iterator[str]] = _no_assumption
    predict: Predict | None = None
    unusable: Callable[[Target], str] = _usable


def without_rates(target: Target, bandwidth_bytes_per_s: float | None) -> str:
    """Why bytes cannot be turned into cycles on a target, and which options would complete its table; ""
    where they can.
    """
    lacking = {"clock": target.clock_hz is None, "memory bandwidth": bandwidth_bytes_per_s is None}
    if not any(lacking.values()):
        return ""
    options = {"clock": "--clock 1.8GHz", "memory bandwidth": "--bandwidth 8GB/s"}
    names = [name for name, lacks in lacking.items() if lacks]
    given = " ".join(options[name] for name in names)
    return f"the table of {target.name} has no {' and no '.join(names)}; give {given}"
