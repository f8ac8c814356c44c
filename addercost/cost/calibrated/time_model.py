"""Seconds of single kernels in one state of the caches.

The prior for a kernel's time is o + a·sites + b·bytes of weights + c·other bytes, with o, a, b and c of its
family. Filters that do not fill a vector cost as much as full ones in most libraries, so a family's sites are
counted in the unit of filters (`features.UNITS`) that fits its times best. Boosted trees learn the difference
between the logarithms of the time and of the prior.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from addercost.cost.calibrated.families import FAMILIES, WITH_WEIGHTS
from addercost.cost.calibrated.features import CATEGORIES, OTHER_BYTES, UNITS, WEIGHT_BYTES
from addercost.cost.calibrated.robust_fit import Floats, robust_fit

LEAST = 3
"""A family with fewer samples has no law of its own. Its kernels are predicted by that of all families."""

_START = np.log([3e-6, 3e-11, 5e-11, 5e-11])
"""Usual values of o, a, b and c, where the search for the law of all families begins."""

_PULL = 0.1
"""How strongly a family's law is pulled towards that of all families, which decides where there are few
samples. 1,175 kernels of an Ice Lake core, each unseen by the fit that predicted it, were 15 % off in the
median (54 % at the ninth decile) where families of fewer than 12 had no law of their own, and 13 % (42 %)
with this pull.
"""


class Law(NamedTuple):
    """factors: the columns of the factors of `features` that the law adds up: 1, sites in one of the units,
    bytes of weights, and other bytes. logs: the logarithms of what it multiplies them by: of o, a, b and c.
    """

    factors: tuple[int, ...]
    logs: Floats

    def seconds(self, work: Floats) -> Floats:
        result: Floats = work[:, list(self.factors)] @ np.exp(self.logs)
        return result


@dataclass(frozen=True)
class TimeModel:
    """Seconds of kernels in one state of the caches. laws: by family; the key -1 is for all families
    together.
    """

    laws: dict[int, Law]
    trees: Any

    def seconds(self, work: Floats, rows: Floats) -> Floats:
        """Seconds [calls] of the kernels that `features` describes as (rows, work)."""
        prior = log_prior(self.laws, work, rows)
        result: Floats = np.exp(prior + self.trees.predict(np.column_stack([rows, prior])))
        return result


def log_prior(laws: dict[int, Law], work: Floats, rows: Floats) -> Floats:
    seconds, families = np.empty(len(work)), rows[:, 0].astype(int)
    for family in set(families.tolist()):
        chosen = families == family
        seconds[chosen] = laws.get(family, laws[-1]).seconds(work[chosen])
    result: Floats = np.log(seconds)
    return result


def fit_times(work: Floats, rows: Floats, seconds: Floats) -> TimeModel:
    from sklearn.ensemble import HistGradientBoostingRegressor

    logs, families = np.log(seconds), rows[:, 0].astype(int)
    of_all = _fit_law(work, logs, len(UNITS), _START, pull=0.0)
    laws = {-1: of_all}
    for family in range(len(FAMILIES)):
        chosen = families == family
        if chosen.sum() >= LEAST:
            units = len(UNITS) if family in WITH_WEIGHTS else 1
            laws[family] = _fit_law(work[chosen], logs[chosen], units, of_all.logs, _PULL)
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


def _fit_law(work: Floats, logs: Floats, units: int, usual: Floats, pull: float) -> Law:
    """The law in the one of the first `units` units that fits best. usual: the logarithms towards which it is
    pulled.
    """

    def fitted(factors: tuple[int, ...]) -> tuple[float, Law]:
        own = work[:, list(factors)]

        def errors(law: Floats) -> Floats:
            return np.concatenate([np.log(own @ np.exp(law)) - logs, pull * (law - usual)])

        def slopes(law: Floats) -> Floats:
            parts = own * np.exp(law)
            return np.concatenate([parts / parts.sum(axis=1, keepdims=True), pull * np.eye(len(law))])

        found = robust_fit(errors, slopes, usual)
        return found.cost, Law(factors, found.numbers)

    laws = (fitted((0, 1 + i, WEIGHT_BYTES, OTHER_BYTES)) for i in range(units))
    return min(laws, key=lambda one: one[0])[1]
