"""Means of runs of a machine that changes its speed, against values worked out by hand."""

import pytest

from addercost.cost.calibrated.usual_speed import LONGEST, mean_at_usual_speed


@pytest.mark.parametrize(
    ("seconds", "factor", "usual", "expected"),
    [
        pytest.param((2.0, 4.0), 1.0, 1.0, 3.0, id="mean"),
        pytest.param((3.0,), 1.5, 1.2, 2.4, id="slower-than-usual"),
        pytest.param((3.0,), 1.0, 1.2, 3.6, id="quieter-than-usual"),
        pytest.param((1.0, 1.0, 4.0), 1.0, 1.0, 1.0, id="an-interrupted-run-is-left-out"),
        pytest.param((1.0, 1.0, LONGEST), 1.0, 1.0, (2 + LONGEST) / 3, id="a-long-run-counts"),
    ],
)
def test_a_mean_is_brought_to_the_usual_speed(seconds, factor, usual, expected):
    assert mean_at_usual_speed(seconds, factor, usual) == pytest.approx(expected)
