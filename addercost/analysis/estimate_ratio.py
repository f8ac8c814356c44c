"""The ratio of two estimates, or a bound of it, where either may be a lower bound."""

from __future__ import annotations

from addercost.analysis.bounds import AtLeast, AtMost
from addercost.cost.energy import ModelEnergy
from addercost.cost.estimate import ModelCost
from addercost.cost.models import is_serial
from addercost.counts.model import LayerCounts
from addercost.results.profile import Profile
from addercost.results.report import LEAST_CHARGED, EnergyEstimated, Estimated


def estimate_ratio(
    value: float, made: Estimated | EnergyEstimated, other: float, by: Estimated | EnergyEstimated
) -> float | None:
    """`value / other`, a bound of that ratio, or None where nothing is known of it.

    value, other: the figures of the estimates `made` and `by`, in the same unit.

    If one estimate is complete and the other is a lower bound, their ratio is a bound. If two lower bounds
    leave out the same cost, the larger / the smaller is an upper bound of the true ratio of these. If they
    leave out different costs, there is no ratio. Sums that leave out the same operations leave out the same
    cost. Under the throughput and roofline models that is true only if the operations are in layers that both
    networks have. In other layers their cost may be hidden behind other work on one side, and `hidden_ratio`
    gives the bound.
    """
    if min(made.charged, by.charged) < LEAST_CHARGED:
        return None
    same_missing = made.missing == by.missing
    if isinstance(made, EnergyEstimated) or isinstance(by, EnergyEstimated):
        return bounded_ratio(value, made.complete, other, by.complete, same_missing)
    have_gaps = made.gap_cycles and by.gap_cycles and not made.complete and not by.complete
    if same_missing and have_gaps and _hides(by.model) and not by.same_gaps:
        # `value` may be in seconds. Those layers have the same share of it as of the cycles.
        own, others = (e.gap_cycles / e.cycles for e in (made, by))
        return hidden_ratio(value, own * value, other, others * other)
    same_cost = is_serial(by.model) or by.same_gaps
    return bounded_ratio(value, made.complete, other, by.complete, same_missing and same_cost)


def bounded_ratio(
    value: float, is_complete: bool, other: float, other_is_complete: bool, same_unknown: bool
) -> float | None:
    """`value / other` of sums that may be lower bounds: the exact ratio, a bound of it, or None where it is
    not known.

    same_unknown: both sums leave out the same cost.
    """
    if not other or not value:
        return None
    ratio = value / other
    if ratio == 1 and same_unknown:
        return ratio
    if is_complete:
        return ratio if other_is_complete else AtMost(ratio)
    if other_is_complete:
        return AtLeast(ratio)
    # (a + x) / (b + x) with the same unknown x ≥ 0 is between a / b and 1.
    return None if not same_unknown else AtMost(ratio) if ratio > 1 else AtLeast(ratio)


def hidden_ratio(value: float, gaps: float, other: float, other_gaps: float) -> float | None:
    """A bound of the ratio of two sums over layers. Both leave out the same unknown cost x ≥ 0, which may be
    hidden behind the known cost of its layers. gaps, other_gaps: the known cost of those layers, a and b
    below.

    With x, layers that cost a take f(x), where max(a, x) ≤ f(x) ≤ a + x, because a layer takes the largest of
    several sums and x adds to some of them. So the ratio is at most (value + x) / (other - b + max(b, x)).
    This is largest at x = b, or approaches 1 as x grows. The lower bound is the same with the sides
    exchanged.
    """
    if not value or not other:
        return None
    if value > other:
        return AtMost((value + other_gaps) / other)
    return AtLeast(value / (other + gaps))


def _hides(model: str) -> bool:
    """Whether a layer's cost by that model is the largest of several sums over its operations."""
    return model in ("throughput", "roofline")


def cost_ratio(profile: Profile, cost: ModelCost, other: Profile, by: ModelCost) -> float | None:
    """The cycles of a profile / those of another one on the same processor, by `estimate_ratio`."""
    same_layers = is_serial(by.model) or gaps(profile, cost) == gaps(other, by)
    same_unknown = _unknown(profile, cost) == _unknown(other, by)
    is_counted = profile.counts.complete and other.counts.complete
    if same_unknown and is_counted and not same_layers and not cost.complete and _hides(by.model):
        return hidden_ratio(cost.cycles, gap_cycles(cost), by.cycles, gap_cycles(by))
    return bounded_ratio(
        cost.cycles,
        cost.complete and profile.counts.complete,
        by.cycles,
        by.complete and other.counts.complete,
        same_layers and same_unknown,
    )


def energy_ratio(profile: Profile, energy: ModelEnergy, other: Profile, by: ModelEnergy) -> float | None:
    """The joules of a profile / those of another one, by `bounded_ratio`."""
    return bounded_ratio(
        energy.total_j,
        energy.complete and profile.counts.complete,
        by.total_j,
        by.complete and other.counts.complete,
        _unknown(profile, energy) == _unknown(other, by),
    )


def _unknown(profile: Profile, estimate: ModelCost | ModelEnergy) -> tuple[object, ...]:
    """The costs that an estimate leaves out: operators that were not counted, and operations without a
    figure.
    """
    return profile.counts.uncounted, estimate.missing


def gap_cycles(cost: ModelCost) -> float:
    """The known cycles of the layers that have operations without a figure."""
    return sum(layer.cycles for layer in cost.layers if not layer.complete)


def gaps(profile: Profile, cost: ModelCost) -> list[LayerCounts]:
    """The layers that have operations without a figure."""
    pairs = zip(profile.counts.layers, cost.layers, strict=True)
    return [layer for layer, estimated in pairs if not estimated.complete]
