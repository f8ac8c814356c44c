"""Columns that are arrays float64 [L]: one number for each of L layers. See `addercost.cost.columns`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from addercost.cost.columns import Columns

Floats = NDArray[np.float64]


class _ManyLayers:
    def minimum(self, one: Floats, other: Floats) -> Floats:
        return np.minimum(one, other)

    def maximum(self, one: Floats, other: Floats) -> Floats:
        return np.maximum(one, other)

    def where(self, condition: Floats, value: Floats) -> Floats:
        return np.where(condition != 0, value, 0.0)

    def choose(self, condition: NDArray[np.bool_], one: Floats, other: Floats) -> Floats:
        return np.where(condition, one, other)

    def any(self, column: Floats) -> bool:
        return bool(np.any(column))

    def weighted_sums(
        self, weights: Sequence[Sequence[float]], columns: Sequence[Floats]
    ) -> Sequence[Floats]:
        """The sums as an array [S, L]."""
        return list(np.asarray(weights, dtype=np.float64) @ np.stack(columns))


MANY_LAYERS: Columns = _ManyLayers()
