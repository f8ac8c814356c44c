"""The Pareto front of points with a cost and a merit."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

T = TypeVar("T")


def pareto_front(points: Iterable[T], place: Callable[[T], tuple[float, float]]) -> list[T]:
    """Points that no other beats, the cheapest first: each has a larger merit than every cheaper one.

    place: cost and merit of a point. Of points that are equal in both the first one stays.
    """
    best: list[T] = []
    for point in sorted(points, key=lambda p: (place(p)[0], -place(p)[1])):
        if not best or place(point)[1] > place(best[-1])[1]:
            best.append(point)
    return best
