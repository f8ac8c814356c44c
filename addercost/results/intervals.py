"""Medians with intervals, ratios of interleaved timings, and the rule when timings show a difference.

Timings are not independent: a disturbance or a slow clock lasts longer than one sample. The intervals are
those of order statistics, which assume no distribution. They are widened by the long-run variance of the
signs about the median. Sources: Conover, Practical Nonparametric Statistics, 3.2 (ranks); Sen, Ann. Math.
Statist. 39 (1968) (the median of dependent data depends on the covariances of these signs); Newey and West,
Econometrica 55 (1987) (their weighted sum).
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from enum import StrEnum

FEWEST = 6
"""The fewest samples for an interval. With fewer, not even their whole range covers the median in 95 of 100
cases.
"""

MARGIN = 0.01
"""Ratios closer to 1 than this are not called different: the addresses of code and data alone change a timing
by as much. Source: Mytkowicz et al., Producing Wrong Data Without Doing Anything Obviously Wrong,
ASPLOS 2009."""


class RatioOutcome(StrEnum):
    """The conclusion from the interval of a ratio of times."""

    FASTER = "faster"
    SLOWER = "slower"
    CANNOT_TELL = "cannot tell"


def median_interval(values: Sequence[float]) -> tuple[float, float] | None:
    """The 95 % interval of the median, or None with fewer than `FEWEST` values. values: in order of time.

    It is too narrow where a disturbance lasts for a large part of the run. A single run cannot show that.
    """
    n = len(values)
    if n < FEWEST:
        return None
    reach = 0.98 * math.sqrt(n * dependence(values))
    ordered = sorted(values)
    low = max(math.floor(n / 2 - reach), 0)
    high = min(math.ceil(n / 2 + 1 + reach), n) - 1
    return ordered[low], ordered[high]


def dependence(values: Sequence[float]) -> float:
    """The factor by which correlation between neighbouring samples inflates the variance of the median.

    It is 1 where they are not correlated:

    1 + 2·Σ_k (1 - k/(K+1))·ρ_k over the autocorrelations ρ_k of the signs of value - median, K = ⌈√n⌉.
    """
    n = len(values)
    middle = statistics.median(values)
    signs = [(v > middle) - (v < middle) for v in values]
    own = sum(s * s for s in signs)
    if own == 0:
        return 1.0
    reach = min(math.ceil(math.sqrt(n)), n - 1)
    total = 1.0
    for k in range(1, reach + 1):
        shared = sum(a * b for a, b in zip(signs, signs[k:], strict=False))
        total += 2 * (1 - k / (reach + 1)) * shared / own
    return max(total, 1.0)


def block_log_ratios(own: Sequence[float], other: Sequence[float]) -> list[float]:
    """log(own / other) of each block A B B A. The shorter of a side's two samples is used.

    Noise only lengthens a run, so the shorter sample is nearer to the undisturbed time (Chen and Revels,
    Robust benchmarking in noisy environments, 2016). Both sides have two chances within the same
    milliseconds. Raises ValueError where the two sides have different or odd numbers of samples.
    """
    if len(own) != len(other) or len(own) % 2:
        raise ValueError(f"{len(own)} and {len(other)} samples are no blocks of A B B A")
    return [math.log(min(own[i], own[i + 1]) / min(other[i], other[i + 1])) for i in range(0, len(own), 2)]


def interleaved_ratio(
    own: Sequence[float], other: Sequence[float]
) -> tuple[float, tuple[float, float] | None]:
    """(how many times as long `own` takes as `other`, the 95 % interval of that), by the median over the
    blocks.
    """
    ratios = block_log_ratios(own, other)
    interval = median_interval(ratios)
    middle = math.exp(statistics.median(ratios))
    return middle, None if interval is None else (math.exp(interval[0]), math.exp(interval[1]))


def verdict(interval: tuple[float, float] | None, margin: float = MARGIN) -> RatioOutcome:
    """The outcome: slower or faster only where the whole interval of the ratio differs from 1 by more than
    the margin.
    """
    if interval is not None and interval[0] > 1 + margin:
        return RatioOutcome.SLOWER
    if interval is not None and interval[1] < 1 / (1 + margin):
        return RatioOutcome.FASTER
    return RatioOutcome.CANNOT_TELL


def half_width(interval: tuple[float, float] | None, middle: float) -> float:
    """Half the width of an interval, relative to its middle; infinite where there is no interval."""
    return math.inf if interval is None else (interval[1] - interval[0]) / (2 * middle)
