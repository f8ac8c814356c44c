"""The largest rank correlation that a ranking with ties can have with an order without ties."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class TieCeiling:
    """The largest rank correlations, Spearman's ρ and Kendall's τ_b, of a ranking with ties and a strict
    order.

    ρ: √(1 − Σ(t³ − t) / (n³ − n)) over groups of t equal values among n, since equal values share their
    middle rank. τ_b: √(1 − Σ t(t − 1) / n(n − 1)), since tied pairs agree with neither order. Source:
    Kendall, Rank Correlation Methods, chapter 3.
    """

    members: int
    values: int
    rho: float
    tau_b: float


def tie_ceiling(values: NDArray[Any]) -> TieCeiling:
    """The ceiling for values [n], of which equal ones are ties."""
    n = len(values)
    _, sizes = np.unique(values, return_counts=True)
    t = sizes.astype(np.float64)
    if n < 2:
        return TieCeiling(n, len(sizes), 1.0, 1.0)
    rho = math.sqrt(1 - float((t**3 - t).sum()) / (float(n) ** 3 - n))
    tau_b = math.sqrt(1 - float((t * (t - 1)).sum()) / (float(n) * (n - 1)))
    return TieCeiling(n, len(sizes), rho, tau_b)
