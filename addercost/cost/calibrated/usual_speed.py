"""Times of a machine that changes its speed while it is timed, at its usual speed."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

ALIKE = 1.12
"""Moments are of one speed if a fixed reference took at most this many times as long in one as in the
other.
"""

LONGEST = 2.5
"""A run that took more than this many times as long as the median was interrupted. It is left out."""


def at_usual_speed(seconds: Sequence[float], factor: float, usual_factor: float) -> float:
    """What runs take while a fixed reference takes as long as it usually does: their median where it did so
    beside them, else their mean, divided by the reference's time beside them and multiplied by its usual one.

    The mean, because a long run is a sum over fast and slow moments, and only means add up. It is a
    makeshift: times of memory grow less than the reference's.

    factor: how many times as long as on the quiet machine the reference took beside these runs. usual_factor:
    the same of many runs of other things.
    """
    if usual_factor / ALIKE <= factor <= usual_factor * ALIKE:
        return statistics.median(seconds)
    most = LONGEST * statistics.median(seconds)
    return statistics.mean(run for run in seconds if run <= most) * usual_factor / factor
