"""The factors that intervals are made of: who is left out of a fit, and how the errors of a sum cancel."""

from __future__ import annotations

import math

import numpy as np
import pytest

from addercost.cost.calibrated import spreads
from addercost.cost.calibrated.families import FAMILIES
from addercost.cost.calibrated.robust_fit import Floats

LINEAR, CONVOLUTION, POOL = map(FAMILIES.index, ("linear", "dense convolution", "maximum pool"))


def test_each_kernel_is_predicted_once_by_a_fit_to_the_two_thirds_that_it_is_not_in(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The model of this test says ten times the seconds; each kernel's number stands in its work."""
    fitted: list[set[float]] = []
    predicted: list[float] = []

    class Tenfold:
        def seconds(self, work: Floats, rows: Floats) -> Floats:
            assert work[:, 1].tolist() == rows[:, 1].tolist()
            assert not fitted[-1] & set(work[:, 1].tolist())
            predicted.extend(work[:, 1].tolist())
            return 10 * work[:, 1]

    def fit(work: Floats, rows: Floats, seconds: Floats) -> Tenfold:
        assert work[:, 1].tolist() == rows[:, 1].tolist() == seconds.tolist()
        fitted.append(set(seconds.tolist()))
        return Tenfold()

    monkeypatch.setattr(spreads, "fit_times", fit)
    numbers = np.arange(1.0, 31.0)
    work = np.column_stack([np.ones(30), numbers, np.zeros(30)])
    rows = np.column_stack([np.full(30, POOL), numbers])
    errors = spreads.unseen_errors(work, rows, numbers)
    assert errors == pytest.approx(np.full(30, math.log(10)))
    assert [len(part) for part in fitted] == [20, 20, 20]
    assert sorted(predicted) == numbers.tolist()


@pytest.mark.parametrize(
    ("with_weights", "factor"), [pytest.param(8, 0.1, id="eight"), pytest.param(7, None, id="seven")]
)
def test_sums_are_of_kernels_with_weights_where_there_are_enough(
    with_weights: int, factor: float | None
) -> None:
    """All errors of kernels with weights are 0.1, and so is that of every sum of them. With fewer than eight,
    pools, which err by 1, are summed as well."""
    families = np.array([LINEAR, CONVOLUTION] * 4)[:with_weights].tolist() + [POOL] * 30
    errors = np.where(np.array(families) == POOL, 1.0, 0.1)
    found = spreads.spread_of_sums(np.array(families), errors, np.ones(len(families)))
    if factor is None:
        assert math.exp(0.5) < found <= math.exp(1)
    else:
        assert found == pytest.approx(math.exp(factor))


def test_errors_of_a_sum_cancel_in_part() -> None:
    """Half of the kernels are predicted 1.5 times too long and half 1.5 times too short. Of eight drawn ones
    H are too long, where H is binomial, and their sum errs by |ln((1.5·H + (8 - H)/1.5) / 8)|. The factor
    covers nine of ten of these errors."""
    errors = np.log([1.5, 1 / 1.5] * 20)
    found = spreads.spread_of_sums(np.full(40, LINEAR), errors, np.full(40, 3.0))
    sums = {h: abs(math.log((1.5 * h + (8 - h) / 1.5) / 8)) for h in range(9)}
    likely = sorted((size, math.comb(8, h) / 2**8) for h, size in sums.items())
    covered, expected = 0.0, 0.0
    for size, share in likely:
        covered, expected = covered + share, size
        if covered >= 0.9:
            break
    assert found == pytest.approx(math.exp(expected))
    assert found < 1.5


def test_a_long_kernel_decides_its_sums() -> None:
    """One of eight kernels takes a million times as long as the others: sums that have it err as it does,
    and more than six of ten draws of eight have it (1 - (7/8)^8)."""
    errors = np.array([0.5] + [0.0] * 7)
    found = spreads.spread_of_sums(np.full(8, LINEAR), errors, np.array([1e6] + [1.0] * 7))
    assert found == pytest.approx(math.exp(0.5), rel=1e-4)
