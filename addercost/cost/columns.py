"""The numbers that costing computes with: those of one layer, or of many layers at once.

A *column* has one number for each layer. Every rule of costing is written once, in `+ - * /`, `sum` and the
operations of a `Columns`, and works on two kinds of column:

- a plain Python number, for one layer (`ONE_LAYER`). Whole numbers stay exact however large they are, and
  nothing heavy is imported, so that one network is costed without NumPy.
- a float64 array [L], for L layers (`addercost.cost.arrays.MANY_LAYERS`), as sweeps need.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import mul
from typing import Any, Protocol, TypeAlias

Column: TypeAlias = Any
"""A number, or an array [L]; see above."""


class Columns(Protocol):
    """The operations on columns that Python has no common spelling for."""

    def minimum(self, one: Column, other: Column) -> Column:
        """The smaller number of each layer."""

    def maximum(self, one: Column, other: Column) -> Column:
        """The larger number of each layer."""

    def where(self, condition: Column, value: Column) -> Column:
        """`value` in the layers whose `condition` is not 0, and 0 in the others."""

    def choose(self, condition: Column, one: Column, other: Column) -> Column:
        """`one` in the layers of which the truth value `condition` is true, and `other` in the others."""

    def any(self, column: Column) -> bool:
        """Whether some layer has another number than 0."""

    def weighted_sums(
        self, weights: Sequence[Sequence[float]], columns: Sequence[Column]
    ) -> Sequence[Column]:
        """For each row of `weights` [S, C], the sum of its weights × the `columns` [C]."""


class _OneLayer:
    """Columns that are plain numbers."""

    minimum = staticmethod(min)
    maximum = staticmethod(max)
    any = staticmethod(bool)

    def where(self, condition: Column, value: Column) -> Column:
        return value if condition else 0

    def choose(self, condition: Column, one: Column, other: Column) -> Column:
        return one if condition else other

    def weighted_sums(
        self, weights: Sequence[Sequence[float]], columns: Sequence[Column]
    ) -> Sequence[Column]:
        return [sum(map(mul, row, columns)) for row in weights]


ONE_LAYER: Columns = _OneLayer()
