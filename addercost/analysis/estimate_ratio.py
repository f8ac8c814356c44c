"""The ratio of two estimates, or a bound of it, where either may be a lower bound."""

from __future__ import annotations

from addercost.analysis.bounds import AtLeast, AtMost
from addercost.cost.models import is_serial
from addercost.results.report import LEAST_CHARGED, EnergyEstimated, Estimated


def estimate_ratio(
    value: float, made: Estimated | EnergyEstimated, other: float, by: Estimated | EnergyEstimated
) -> float | None:
    """`value / other`, a bound of that ratio, or None where nothing is known of it.

    value, other: what the estimates `made` and `by` say, in the same unit.

    Of two lower bounds that leave out the same cost, the larger over the smaller is an upper bound of the
    ratio; where they leave out different ones there is no ratio. Sums that leave out the same operations
    leave out the same cost. Under the throughput and roofline models that is so only where the operations are
    in layers that both networks have: in other layers their cost may hide behind other work on one side.
    """
    if not other or not value or min(made.charged, by.charged) < LEAST_CHARGED:
        return None
    if made.complete and by.complete:
        return value / other
    # (a + x) / (b + x) with the same unknown x ≥ 0 is between a / b and 1.
    same_unknown = isinstance(by, EnergyEstimated) or is_serial(by.model) or by.same_gaps
    if made.missing == by.missing and same_unknown:
        return AtMost(value / other) if value >= other else AtLeast(value / other)
    return None
