"""Compares a network's cost with its cost in other arithmetics."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from addercost.analysis.estimate_ratio import cost_ratio
from addercost.arithmetic import Arithmetic
from addercost.cost.cost_model import CostModel
from addercost.cost.estimate import estimate
from addercost.cost.models import COST_MODELS, default_model
from addercost.cost.target import Target
from addercost.cost.target_registry import load_target
from addercost.counts.model import count
from addercost.results.profile import Profile
from addercost.trace.record import Trace

COMPARED = (Arithmetic.MAC, Arithmetic.ADDER, Arithmetic.XNOR)


@dataclass(frozen=True, slots=True)
class OtherArithmetic:
    """ratio: how many times as long the network takes with all layers in `arithmetic`, by `cost_model`. It
    may be a bound.
    """

    arithmetic: Arithmetic
    cost_model: str
    ratio: float


def alternatives(
    trace: Trace, profile: Profile, hardware_path: Path | None = None, kernels: Path | None = None
) -> tuple[OtherArithmetic, ...]:
    """The network of `profile` in each other arithmetic, on its first processor; none for a changed network.

    The cost model is the profile's, or the best other one where the profile's model has no figures for such
    layers.
    """
    if not profile.costs or profile.counts.what_if:
        return ()
    first = profile.costs[0]
    target = load_target(first.hardware, hardware_path, kernels)
    model = COST_MODELS[first.model]
    return tuple(_compared(trace, profile, target, model))


def _compared(trace: Trace, profile: Profile, target: Target, model: CostModel) -> Iterator[OtherArithmetic]:
    # A model that predicts kernels has figures only for the network as it is.
    name = default_model(target) if model.predict is not None else model.name
    counts = profile.counts
    own = estimate(counts, target, name)
    for arithmetic in COMPARED:
        changed = count(
            trace, counts.convention, arithmetic=arithmetic, keep_first_last=profile.keep_first_last
        )
        if [layer.counts for layer in changed.layers] == [layer.counts for layer in counts.layers]:
            continue
        cost = estimate(changed, target, name)
        ratio = cost_ratio(Profile(changed), cost, profile, own)
        if ratio is not None:
            yield OtherArithmetic(arithmetic, name, ratio)
