"""`robust_fit` finds the minimum that scipy's `least_squares` finds with its loss `soft_l1`."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import least_squares

from addercost.cost.calibrated.robust_fit import robust_fit


class SumOfParts:
    """log(Σ parts·exp(numbers)) - measured, the form of all laws here, with a weak pull towards zeros. A
    tenth of the measured values are ten times too large.
    """

    def __init__(self, seed: int, n: int, numbers: int) -> None:
        random = np.random.default_rng(seed)
        self.parts = np.exp(random.uniform(-3, 3, (n, numbers)))
        self.measured = np.log(self.parts @ np.exp(random.normal(0, 1, numbers))) + random.normal(0, 0.1, n)
        self.measured[: n // 10] += np.log(10)
        self.start = np.zeros(numbers)

    def errors(self, numbers):
        return np.concatenate([np.log(self.parts @ np.exp(numbers)) - self.measured, 0.05 * numbers])

    def slopes(self, numbers):
        each = self.parts * np.exp(numbers)
        return np.concatenate([each / each.sum(axis=1, keepdims=True), 0.05 * np.eye(len(numbers))])


@pytest.mark.parametrize("scale", [1.0, 0.05])
@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("n", "numbers"), [(4, 4), (60, 4), (300, 7)], ids=str)
def test_the_minimum_is_that_of_scipy(n, numbers, seed, scale):
    problem = SumOfParts(seed, n, numbers)
    expected = least_squares(
        problem.errors, problem.start, problem.slopes, loss="soft_l1", f_scale=scale, xtol=1e-12, ftol=1e-12
    )
    found = robust_fit(problem.errors, problem.slopes, problem.start, scale)
    assert found.cost == pytest.approx(expected.cost, rel=1e-5)
    assert found.numbers == pytest.approx(expected.x, abs=0.01)


def test_a_number_without_effect_stays_where_it_is():
    """Without a pull, kernels without weights say nothing of what a byte of weights takes."""
    parts = np.array([[1.0, 0.0], [3.0, 0.0]])

    def slopes(numbers):
        each = parts * np.exp(numbers)
        return each / each.sum(axis=1, keepdims=True)

    found = robust_fit(lambda numbers: np.log(parts @ np.exp(numbers)), slopes, np.array([1.0, 5.0]))
    assert found.numbers == pytest.approx([-np.log(3) / 2, 5.0], abs=1e-4)


def test_one_large_error_does_not_move_the_rest():
    """The mean of ten zeros and one hundred is 9, their median 0. The minimum lies near the median."""
    measured = np.array([0.0] * 10 + [100.0])
    found = robust_fit(lambda x: x - measured, lambda x: np.ones((11, 1)), np.array([50.0]))
    # Where it lies: 10·x/√(1 + x²) = 1, so x = 1/√99.
    assert found.numbers == pytest.approx([99**-0.5], abs=1e-3)
