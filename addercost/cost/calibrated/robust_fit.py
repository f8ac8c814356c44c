"""Least squares that single large errors do not decide, for laws of a few numbers.

scipy's `least_squares` finds the same minimum. It takes ten times as long, since nearly all of its time goes
to preparing each step, and a calibration has 500 problems of four numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_MOST_STEPS = 100
_ENOUGH = 1e-8
"""The search is over where a step lowers the cost by a smaller share than this."""

_MOST_DAMPING = 1e10


class Fitted(NamedTuple):
    """cost: Σ scale²·(√(1 + (e/scale)²) - 1) over the errors e. It grows as e²/2 does where errors are small,
    and as |e| where they are large.
    """

    numbers: Floats
    cost: float


def robust_fit(
    errors: Callable[[Floats], Floats], slopes: Callable[[Floats], Floats], start: Floats, scale: float = 1.0
) -> Fitted:
    """The numbers with the least cost, found from `start` on by steps of Levenberg and Marquardt, in which
    each error counts less the larger it is. errors: [n] of the numbers. slopes: [n, numbers], the derivatives
    of the errors.
    """
    numbers, missed = start, errors(start)
    cost, damping = _cost(missed, scale), 1e-3
    for _ in range(_MOST_STEPS):
        slope = slopes(numbers)
        weighted = slope.T / np.sqrt(1 + (missed / scale) ** 2)
        square, down = weighted @ slope, weighted @ missed
        while True:
            damped = square + damping * np.diag(np.maximum(square.diagonal(), 1e-12))
            tried = numbers - np.linalg.solve(damped, down)
            tried_missed = errors(tried)
            tried_cost = _cost(tried_missed, scale)
            if tried_cost <= cost or damping > _MOST_DAMPING:
                break
            damping *= 10
        if not tried_cost < cost:
            break
        is_enough = cost - tried_cost < _ENOUGH * cost
        numbers, missed, cost = tried, tried_missed, tried_cost
        damping /= 10
        if is_enough:
            break
    return Fitted(numbers, cost)


def _cost(errors: Floats, scale: float) -> float:
    return float(scale**2 * (np.sqrt(1 + (errors / scale) ** 2) - 1).sum())
