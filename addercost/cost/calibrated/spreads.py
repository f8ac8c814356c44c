"""The factors that intervals are made of.

Intervals are split-conformal: a factor is the quantile of the errors of kernels that the fit did not see,
computed for each family. Source: Lei et al., Distribution-free predictive inference for regression, JASA
2018.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from addercost.cost.calibrated.families import WITH_WEIGHTS
from addercost.cost.calibrated.robust_fit import Floats
from addercost.cost.calibrated.time_model import fit_times

COVERED = 0.9
"""The share of unseen kernels that an interval covers."""

FEW = 12
"""A family with fewer samples uses the interval of all kernels together."""

FOLDS = 3

SUMMED = 8
"""How many layers of different shapes a small network has."""


def unseen_errors(work: Floats, rows: Floats, seconds: Floats) -> Floats:
    """log(predicted / measured) [kernels]. Each kernel is predicted by a fit to the folds that it is not
    in.
    """
    folds = np.random.default_rng(0).permutation(len(work)) % FOLDS
    errors = np.zeros(len(work))
    for fold in range(FOLDS):
        seen, unseen = folds != fold, folds == fold
        model = fit_times(work[seen], rows[seen], seconds[seen])
        errors[unseen] = np.log(model.seconds(work[unseen], rows[unseen]) / seconds[unseen])
    return errors


def conformal_spread(families: NDArray[np.int_], errors: Floats) -> dict[int, float]:
    """The factor that covers `COVERED` of the unseen kernels of each family. The key -1 has that of all
    kernels, which stands in for families with fewer than `FEW`.
    """
    spread = {-1: math.exp(quantile(np.abs(errors)))}
    for family in sorted(set(families.tolist())):
        chosen = np.abs(errors[families == family])
        if len(chosen) >= FEW:
            spread[family] = math.exp(quantile(chosen))
    return spread


def spread_of_sums(families: NDArray[np.int_], errors: Floats, seconds: Floats) -> float:
    """The factor that covers `COVERED` of the sums over `SUMMED` random kernels with weights. errors: those
    of fits that did not see the kernel. The factor is smaller than a single kernel's, since errors cancel in
    part.
    """
    chosen = np.flatnonzero(np.isin(families, WITH_WEIGHTS))
    if len(chosen) < SUMMED:
        chosen = np.arange(len(families))
    random = np.random.default_rng(0)
    drawn = random.choice(chosen, (1000, min(SUMMED, len(chosen))))
    sums = seconds[drawn].sum(axis=1)
    return math.exp(quantile(np.abs(np.log((seconds[drawn] * np.exp(errors[drawn])).sum(axis=1) / sums))))


def quantile(errors: Floats) -> float:
    """The ⌈(n + 1)·COVERED⌉-th smallest of n errors, the largest where that exceeds n."""
    n = len(errors)
    return float(np.sort(errors)[min(math.ceil((n + 1) * COVERED), n) - 1])
