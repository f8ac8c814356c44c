"""Rank correlations of two lists: Spearman's ρ and Kendall's τ, with ties.

Sources: Spearman, Am. J. Psychol. 15 (1904); Kendall, Biometrika 33 (1945), whose τ_b this is.
"""

from __future__ import annotations

import math
from collections.abc import Sequence


def spearman(one: Sequence[float], other: Sequence[float]) -> float | None:
    """The correlation of the ranks, where tied values have the mean of their ranks. None where all values of
    a list are equal.
    """
    return _correlation(ranks(one), ranks(other))


def kendall(one: Sequence[float], other: Sequence[float]) -> float | None:
    """τ_b = Σ sign(xᵢ - xⱼ)·sign(yᵢ - yⱼ) / √(pairs untied in x · pairs untied in y), over all pairs.

    None where a side has a single value.
    """
    import numpy as np

    x, y = np.asarray(one, float), np.asarray(other, float)
    together = untied_x = untied_y = 0.0
    for i in range(len(x) - 1):
        dx, dy = np.sign(x[i + 1 :] - x[i]), np.sign(y[i + 1 :] - y[i])
        together += float(dx @ dy)
        untied_x += float(dx @ dx)
        untied_y += float(dy @ dy)
    return together / math.sqrt(untied_x * untied_y) if untied_x and untied_y else None


def ranks(values: Sequence[float]) -> list[float]:
    """The ranks of the values, from 1 for the smallest. Equal values get the mean of their ranks."""
    order = sorted(range(len(values)), key=values.__getitem__)
    found = [0.0] * len(values)
    start = 0
    while start < len(order):
        stop = start
        while stop < len(order) and values[order[stop]] == values[order[start]]:
            stop += 1
        for i in order[start:stop]:
            found[i] = (start + 1 + stop) / 2
        start = stop
    return found


def _correlation(one: Sequence[float], other: Sequence[float]) -> float | None:
    n = len(one)
    if n < 2:
        return None
    mean_one, mean_other = sum(one) / n, sum(other) / n
    pairs = [(a - mean_one, b - mean_other) for a, b in zip(one, other, strict=True)]
    scale = sum(a * a for a, _ in pairs) * sum(b * b for _, b in pairs)
    return sum(a * b for a, b in pairs) / math.sqrt(scale) if scale else None
