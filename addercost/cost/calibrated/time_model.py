"""Seconds of single kernels in one state of the caches.

The prior for a kernel's time is o + a·sites + b·bytes, with o, a and b of its family. Boosted trees learn the
difference between the logarithms of the time and of the prior.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from addercost.cost.calibrated.families import FAMILIES
from addercost.cost.calibrated.features import CATEGORIES

Floats = NDArray[np.float64]

FEW = 12
"""A family with fewer samples uses the law and the interval of all kernels together."""


@dataclass(frozen=True)
class TimeModel:
    """Seconds of kernels in one state of the caches. laws: (log o, log a, log b) by family; the key -1 is for
    all families together.
    """

    laws: dict[int, Floats]
    trees: Any

    def seconds(self, work: Floats, rows: Floats) -> Floats:
        """Seconds [calls] of the kernels that `features` describes as (rows, work)."""
        prior = log_prior(self.laws, work, rows)
        result: Floats = np.exp(prior + self.trees.predict(np.column_stack([rows, prior])))
        return result


def log_prior(laws: dict[int, Floats], work: Floats, rows: Floats) -> Floats:
    law = np.array([laws.get(int(family), laws[-1]) for family in rows[:, 0]])
    result: Floats = np.log((work * np.exp(law)).sum(axis=1))
    return result


def fit_times(work: Floats, rows: Floats, seconds: Floats) -> TimeModel:
    from scipy.optimize import least_squares
    from sklearn.ensemble import HistGradientBoostingRegressor

    logs = np.log(seconds)
    laws: dict[int, Floats] = {}
    for family in (-1, *range(len(FAMILIES))):
        chosen = np.ones(len(work), bool) if family < 0 else rows[:, 0] == family
        if family >= 0 and chosen.sum() < FEW:
            continue

        def parts(law: Floats, own: Floats = work[chosen]) -> Floats:
            result: Floats = own * np.exp(law)
            return result

        def errors(law: Floats, parts: Any = parts, own: Floats = logs[chosen]) -> Floats:
            result: Floats = np.log(parts(law).sum(axis=1)) - own
            return result

        def slopes(law: Floats, parts: Any = parts) -> Floats:
            terms = parts(law)
            result: Floats = terms / terms.sum(axis=1, keepdims=True)
            return result

        start = np.log([3e-6, 3e-11, 5e-11])
        laws[family] = least_squares(errors, start, slopes, loss="soft_l1", max_nfev=100).x
    prior = log_prior(laws, work, rows)
    trees = HistGradientBoostingRegressor(
        loss="absolute_error",
        max_iter=60,
        learning_rate=0.2,
        max_leaf_nodes=12,
        min_samples_leaf=5,
        l2_regularization=1.0,
        categorical_features=list(CATEGORIES),
        random_state=0,
    ).fit(np.column_stack([rows, prior]), logs - prior)
    return TimeModel(laws, trees)
