"""What a cost model is: a rule from the instructions of a layer to cycles, and what it needs for that.

A model is one record in one file of `addercost/cost/models/`, which finds it there.
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
    """A time, and the ends of the interval in which nine of ten such times are expected."""

    value: float
    low: float
    high: float


def far_part(weights: Column, half_bytes: Column) -> Column:
    """The part of a network's weights that is in no cache when it runs again. weights: their bytes;
    half_bytes: at so many it is half of them.
    """
    return weights / (weights + half_bytes)


class LayerParts(NamedTuple):
    """What one layer adds to a network: near without its weights being far, far what these add where all of
    them are. weights: their bytes.
    """

    near: Seconds
    far: Seconds
    weights: int

    def at(self, part: float) -> Seconds:
        """With that part of the weights far."""
        return Seconds(*(n + part * f for n, f in zip(self.near, self.far, strict=True)))


@dataclass(frozen=True, slots=True)
class NetworkPrediction:
    """What a network takes by times that were measured. layers: of each layer; shares: what each adds
    to the total and to the ends of its interval, which is narrower than the layers'. main_kinds: the kind
    of kernel that takes most of each. missing: kernels that could not be predicted, by name, of each layer.
    notes: what the reader has to know of it. parts, half_bytes: what the shares are made of, by `far_part`.
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
"""Of one layer; None where they are not known."""

Predict = Callable[[Target, Sequence[Kernels]], NetworkPrediction]


def _nothing_missing(target: Target, executions: Executions, moved: Moved) -> Mapping[str, Column]:
    return {}


def _usable(target: Target) -> str:
    return ""


def _no_assumption(of: object) -> Iterator[str]:
    return iter(())


@dataclass(frozen=True, slots=True)
class CostModel:
    """A way to predict the cycles of layers. A layer takes the largest of the bounds that `rule` gives it, or
    the sum of these parts where `adds_up`.

    rule: from the target's throughput bounds, the executions and what layers move to named bounds.
    lowering: how operations become those executions, unless a user asks for another.
    is_serial: every instruction waits for the one before, so that cycles are a sum over operations and the
    bound has nothing to say. needs_memory: estimates nothing without a clock and a memory bandwidth.
    ranks_targets: orders all targets where nobody names a model; every table has the figures for it.
    on_all_cores: the whole part works on a network, as a framework makes it do. What looks at one core leaves
    such a model out unless it is named.
    missing: figures that the rule needs and the target lacks, and how many executions or bytes lack them.
    assumes: what the rule takes for granted about a target. assumes_of: the same about executions.
    description: what a layer takes, for help texts.
    predict: for a model that takes a network as a whole, by times that were measured; it stands in place of
    the rule where it can be used. unusable: why `predict` cannot be used on a target, "" where it can.
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
