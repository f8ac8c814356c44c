"""The ratio of two networks' times, with its interval, from measured timings of their layers. No estimate is
used.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from addercost.results.intervals import RatioOutcome, verdict
from addercost.results.measurements import MeasuredRow, Measurements

if TYPE_CHECKING:
    import numpy as np

DRAWS = 2000
FEWEST_BLOCKS = 3


@dataclass(frozen=True, slots=True)
class NetworkRatio:
    """How many times as long the reference's layers take as one implementation's, summed over a network.

    Above 1 the implementation is faster. low, high: the 95 % interval. own, reference: the names of the two
    sides. left_out: layers that could not be timed on one of the sides. unconverged: layers whose own
    intervals were wider than the chosen precision. share_of_limit: the rate / that of the bare inner loop,
    measured in the same run. own_s, reference_s: the seconds of all layers together, on each side.
    """

    ratio: float
    low: float
    high: float
    own: str
    reference: str
    layers: int
    left_out: tuple[str, ...] = ()
    unconverged: int = 0
    share_of_limit: float | None = None
    own_s: float = 0.0
    reference_s: float = 0.0

    @property
    def verdict(self) -> RatioOutcome:
        """Whether the implementation is faster or slower than the reference, by `intervals.verdict`."""
        return verdict((1 / self.high, 1 / self.low))


def network_ratio(
    measurements: Measurements,
    arithmetic: str,
    implementation: str,
    dtype: str,
    keep_first_last: bool = False,
) -> NetworkRatio | None:
    """The ratio over all layers that were timed in turn with their reference; None where there are no such
    layers.

    A layer counts as often as its shape occurs. keep_first_last: both sides use the reference's time for the
    first and the last layer. The interval comes from a moving-block bootstrap over the A B B A blocks of each
    layer, which draws consecutive blocks together because noise lasts for several of them. Source: Künsch,
    Annals of Statistics 17 (1989).
    """
    import numpy as np

    wanted = (arithmetic, implementation, dtype)
    rows = [
        row
        for row in measurements.rows
        if (row.arithmetic, row.implementation, row.dtype) == wanted
        and len(row.reference_samples_s) >= 2 * FEWEST_BLOCKS
    ]
    if not rows:
        return None
    failed = [
        path
        for row in measurements.failed
        if (row.arithmetic, row.implementation, row.dtype) == wanted
        for path in row.paths or (row.path,)
    ]
    random = np.random.default_rng(0)
    last = max((position for row in measurements.rows for position in row.positions), default=0)
    own, reference = np.zeros(DRAWS + 1), np.zeros(DRAWS + 1)
    for row in rows:
        kept = sum(position in (0, last) for position in row.positions) if keep_first_last else 0
        row_s, reference_s = _draws(row, random)
        own += (row.times - kept) * row_s + kept * reference_s
        reference += row.times * reference_s
    ratios = reference / own
    low, high = np.percentile(ratios[1:], (2.5, 97.5))
    return NetworkRatio(
        ratio=float(ratios[0]),
        low=float(low),
        high=float(high),
        own=f"{implementation} {dtype}",
        reference=", ".join(dict.fromkeys(row.reference for row in rows)),
        layers=sum(row.times for row in rows),
        left_out=tuple(failed),
        unconverged=sum(row.times for row in rows if row.converged is False),
        share_of_limit=_share_of_limit(rows),
        own_s=float(own[0]),
        reference_s=float(reference[0]),
    )


def _share_of_limit(rows: Sequence[MeasuredRow]) -> float | None:
    """The least time that all rows could take by their limits / the time that they took."""
    if not all(row.sites and row.limit_sites_per_s for row in rows):
        return None
    least = sum(row.times * row.sites / (row.limit_sites_per_s or 1) for row in rows)
    return least / sum(row.times * row.median_s for row in rows)


def _draws(row: MeasuredRow, random: np.random.Generator) -> tuple[Any, Any]:
    """([1 + DRAWS] medians of the row's blocks, the same of its reference's): first as measured, then of each
    bootstrap draw.
    """
    import numpy as np

    blocks = np.array([_by_block(row.samples_s), _by_block(row.reference_samples_s)])
    n = blocks.shape[1]
    length = max(1, round(n ** (1 / 3)))
    starts = random.integers(0, n - length + 1, (DRAWS, -(-n // length)))
    picks = (starts[:, :, None] + np.arange(length)).reshape(DRAWS, -1)[:, :n]
    medians = np.median(blocks[:, picks], axis=2)
    whole = np.median(blocks, axis=1)
    return np.concatenate([whole[:1], medians[0]]), np.concatenate([whole[1:], medians[1]])


def _by_block(samples: Sequence[float]) -> list[float]:
    """The mean of a side's two samples in each block A B B A."""
    return [(samples[i] + samples[i + 1]) / 2 for i in range(0, len(samples), 2)]
