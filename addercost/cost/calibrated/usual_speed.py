"""Times of a machine that changes its speed while it is timed, brought to its usual speed."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

LONGEST = 2.5
"""A run that took more than this many times as long as the median was interrupted. It is left out."""


def mean_at_usual_speed(seconds: Sequence[float], factor: float, usual_factor: float) -> float:
    """The mean of runs, as long as it would be while a fixed reference takes as long as it usually does.

    factor: how many times as long as on the quiet machine the reference took beside these runs, in the mean.
    usual_factor: the same of many runs of other things. The mean and not the median: a long run is a sum over
    fast and slow moments, and only means add up.
    """
    most = LONGEST * statistics.median(seconds)
    return statistics.mean(run for run in seconds if run <= most) * usual_factor / factor
